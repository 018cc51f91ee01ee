"""Build rows, from the raw tables to unpublished files, or return why another plan is needed.

There are two jobs, whoever runs them (`build_jobs.py`): the first reads the lake, fits the
transform and counts every bucket; the second transforms and writes the rows that the first kept.
"""

import json
from dataclasses import dataclass

from headrace.columns.histogram import AXES_FILE, HistogramAxis, axes_from_json
from headrace.columns.values import RawKind
from headrace.errors import InvalidTextError
from headrace.lake.build import StoredColumn
from headrace.lake.damage import explain_damage
from headrace.lake.data_file import SPLITS
from headrace.lake.drift import ColumnDrift, describe_drift, join_drift
from headrace.lake.profile import Profile
from headrace.lake.sidecar import read_sidecar_text
from headrace.lake.time_boundaries import TimeBoundaries
from headrace.lake.version import DatasetVersion
from headrace.prepare.accounts import build_profile, count_buckets, describe_shares
from headrace.prepare.attempt import (
    Attempt,
    RebuildWithPartitions,
    RebuildWithRefit,
    RebuildWithTexts,
)
from headrace.prepare.build_jobs import BuildJobs
from headrace.prepare.compatibility import resolve_key_types
from headrace.prepare.drift import measure_drift, refuse_drift
from headrace.prepare.plan import Plan
from headrace.prepare.refusals import (
    refuse_bad_labels,
    refuse_empty_splits,
    refuse_no_train_rows,
    refuse_violations,
)
from headrace.prepare.shuffle.dedup_across_partitions import find_columns_beside_key
from headrace.prepare.shuffle.merge_statistics import Fitted
from headrace.prepare.statistics.rows import choose_sample
from headrace.prepare.write.job import WriteOptions, Written
from headrace.prepare.write.schema import choose_rows_per_row_group
from headrace.prepare.write.tally import list_axes
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.source.read import ReadRows
from headrace.source.rules import Check
from headrace.transform.fit import FitInputs, compute_class_weights
from headrace.transform.spec import TransformSpec
from headrace.transform.summaries import LABEL_KEY


@dataclass(frozen=True)
class BuildResult:
    """The written rows and their statistics.

    Attributes:
        fit_inputs: what the transform is fitted on.
        checks: of every row, in the order of their bits.
        fitted: result of the first job.
        axes: the histogram axes of the profile.
        weights: factor of the loss by class; empty where there is none.
        written: result of the second job.
        profile: of the written rows.
        drift: of the rows from those that the transform was fitted on.
        quarantined: whether rows were rejected.
        key_types: column of a key -> type.
        passthrough: raw columns that are published as they are -> kind.
        stored: raw columns whose values lie beside the rows that are judged.
        boundaries: of a split by time that follow from the rows; None for others.
    """

    fit_inputs: FitInputs
    checks: tuple[Check, ...]
    fitted: Fitted
    axes: tuple[HistogramAxis, ...]
    weights: dict[str, float]
    written: Written
    profile: Profile
    drift: tuple[ColumnDrift, ...]
    quarantined: bool
    key_types: dict[str, str]
    passthrough: dict[str, RawKind]
    stored: dict[str, StoredColumn]
    boundaries: TimeBoundaries | None


def build_rows(
    attempt: Attempt, plan: Plan, raw: ReadRows, jobs: BuildJobs
) -> BuildResult | RebuildWithPartitions | RebuildWithRefit | RebuildWithTexts:
    """Run both jobs.

    Args:
        attempt, plan: of the build.
        raw: the rows that it reads.
        jobs: read, fit and write them.

    Returns:
        the written rows and their statistics; or why the build has to start again with another
        plan, and then the written files are to be discarded.

    Raises:
        LakeError, LedgerError: as `prepare`.
    """
    recipe, reused_version = attempt.recipe, plan.reused_version
    action = "processing" if reused_version else "fitting on"
    attempt.report(Progress(f"{action} {raw.rows_read:,} rows"))
    key_types = resolve_key_types(recipe, raw.schema, reused_version)
    spec = None
    if reused_version:
        spec = TransformSpec.from_json(
            reused_version.transform_json, files=reused_version.text_files
        )
    retained = plan.base if reused_version and plan.retained else None
    rows = jobs.plan_rows(spec, reused_version, retained)
    if retained and not rows.stored and any(not f.shape for f in recipe.features.values()):
        attempt.report(
            Progress(
                f"version {retained.version}, which rows are added to, has no raw values beside "
                "its rows, so slices are restored from scaled ones; `headrace prepare --full` adds "
                "them"
            )
        )
    if not reused_version and rows.boundaries and rows.boundaries.newest is not None:
        attempt.timer.record_step("split")
        attempt.report(Progress(f"split.time: {rows.boundaries.describe()}"))
    checks, fit_inputs = rows.checks, rows.fit_inputs
    partitioner = jobs.start_shuffle()
    try:
        try:
            fitted = jobs.merge_statistics(spec)
        except InvalidTextError as error:
            return RebuildWithTexts(tuple(json.loads(str(error))))
        attempt.timer.record_step("fit")
        needed = jobs.find_needed_partitions(fitted)
        if needed:
            return RebuildWithPartitions(needed)
        buckets = count_buckets(fitted.counts, checks)
        refuse_violations(checks, fitted.counts, raw.rows_read)
        if not reused_version:
            refuse_no_train_rows(buckets, recipe, rows.boundaries)
            refuse_empty_splits(buckets, recipe, rows.boundaries)
            refuse_bad_labels(fitted.statistics[LABEL_KEY], recipe, buckets["train"])
        axes, weights = _choose_axes_and_weights(recipe, reused_version, fit_inputs, fitted)
        published = sum(buckets.get(split, 0) for split in SPLITS)
        write_options = WriteOptions(
            root=attempt.root,
            build_id=attempt.build_id,
            rows_per_row_group=choose_rows_per_row_group(recipe.dataset, fitted.spec),
            partitioner=partitioner,
            seed=recipe.split.seed,
            names=raw.partition_index.names,
            raw=tuple(fit_inputs.raw),
            axes=axes,
            class_weights=weights,
            passthrough=rows.passthrough,
            stored=rows.stored,
            examples=recipe.dataset.raw_examples,
            hash_keys=bool(find_columns_beside_key(recipe, plan.partitions)),
            sample=choose_sample(fit_inputs.raw, fitted.spec.label, published),
        )
        quarantining = [c.name for c in checks if c.on_violation == "quarantine"]
        rejected = sum(buckets.get(name, 0) for name in quarantining)
        meanwhile = f", quarantining {rejected:,} rows" if rejected else ""
        shares = describe_shares(buckets) if rows.boundaries and not reused_version else ""
        attempt.report(Progress(f"writing {published:,} rows{shares}{meanwhile}"))
        written = jobs.write_rows(fitted.spec, write_options, rejected)
        attempt.timer.record_step("write")
    finally:
        jobs.forget_rows()
    profile = build_profile(fit_inputs, axes, checks, fitted.counts, written)
    drift = _measure_drift(recipe, reused_version, profile, written, attempt.report)
    if isinstance(drift, RebuildWithRefit):
        return drift
    return BuildResult(
        fit_inputs=fit_inputs,
        checks=checks,
        fitted=fitted,
        axes=axes,
        weights=weights,
        written=written,
        profile=profile,
        drift=drift,
        quarantined=rejected > 0,
        key_types=key_types,
        passthrough=rows.passthrough,
        stored=rows.stored,
        boundaries=rows.boundaries,
    )


def _choose_axes_and_weights(
    recipe: Recipe, reused_version: DatasetVersion | None, fit_inputs: FitInputs, fitted: Fitted
) -> tuple[tuple[HistogramAxis, ...], dict[str, float]]:
    """Return the histogram axes of the profile and the class weights; both are reused where the
    transform is."""
    if reused_version:
        fitted_by = reused_version.build.transform_of or reused_version.build.build_id
        text = read_sidecar_text(reused_version.root, fitted_by, AXES_FILE)
        with explain_damage(f"dataset {reused_version.root}: {AXES_FILE} of build {fitted_by}"):
            axes = axes_from_json(text)
        return axes, reused_version.build.class_weights
    axes = list_axes(fitted.spec, fit_inputs, fitted.statistics)
    if recipe.label.class_weight is None:
        return axes, {}
    return axes, compute_class_weights(recipe.label, fitted.statistics[LABEL_KEY])


def _measure_drift(
    recipe: Recipe,
    reused_version: DatasetVersion | None,
    profile: Profile,
    written: Written,
    report: Report,
) -> tuple[ColumnDrift, ...] | RebuildWithRefit:
    """Measure the drift of the written rows, and do what the recipe wants where they drifted."""
    if reused_version is None:
        return ()
    rows, unseen = sum(sum(file.row_groups) for file in written.files), written.unseen.total()
    drift = measure_drift(
        reused_version.fitted_profile,
        profile,
        recipe.increments,
        rows,
        unseen,
        fitted_rows=reused_version.fitted_rows,
    )
    lines = describe_drift(drift)
    if lines and recipe.increments.on_drift == "refit":
        return RebuildWithRefit(join_drift(lines, 3))
    if recipe.increments.on_drift == "fail":
        refuse_drift(drift)
    if lines:
        report(Progress(f"rows drifted from those of the transform: {join_drift(lines, 3)}"))
    return drift
