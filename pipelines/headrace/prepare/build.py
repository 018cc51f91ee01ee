"""Build rows: from the raw tables to written files that no one sees yet.

There are two jobs: the first reads the lake, fits the transform and counts every bucket; the second
transforms and writes the rows that the first cached. Where rows were rejected, they are read once
more with all their columns, at the same time as the second job.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.columns.histogram import AXES_FILE, HistogramAxis, axes_from_json
from headrace.columns.values import RawKind
from headrace.lake.build import read_sidecar_text
from headrace.lake.data_file import SPLITS
from headrace.lake.drift import ColumnDrift, describe_drift
from headrace.lake.profile import Profile
from headrace.lake.version import DatasetVersion
from headrace.prepare.accounts import build_profile, count_buckets
from headrace.prepare.attempt import Attempt, NeedsPartitions, NeedsRefit
from headrace.prepare.background_job import BackgroundJob
from headrace.prepare.clean import CleanRows, clean_rows
from headrace.prepare.compatibility import resolve_key_types
from headrace.prepare.drift import measure_drift, refuse_drift
from headrace.prepare.plan import Plan
from headrace.prepare.refusals import refuse_bad_labels, refuse_no_train_rows, refuse_violations
from headrace.prepare.shuffle.dedup_across_partitions import (
    can_span_partitions,
    count_retained_rows,
    locate_duplicates,
    read_unread_keys,
)
from headrace.prepare.shuffle.merge_statistics import Fitted, merge_statistics
from headrace.prepare.shuffle.options import ShuffleOptions
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.prepare.shuffle.reduce import shuffle_rows
from headrace.prepare.write.job import WriteOptions, Written, write_files
from headrace.prepare.write.tally import list_axes
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.source.quarantine.by_query import write_quarantine
from headrace.source.read import RawRows
from headrace.source.rules import CheckedRows
from headrace.source.spark_errors import explain_spark_errors
from headrace.source.types import SMALL_KINDS
from headrace.transform.fit import Unfitted, compute_class_weights
from headrace.transform.spec import TransformSpec
from headrace.transform.variables import LABEL

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_CELL_BYTES = 10  # of a raw row's number or text, about


@dataclass(frozen=True)
class Built:
    """Written rows, and what was learnt about them.

    Attributes:
        unfitted: what was to be fitted.
        checked: all columns of the rows, with their checks.
        fitted: result of the first job.
        axes: what distributions are counted on.
        weights: factor of the loss by class; empty where there is none.
        written: result of the second job.
        profile: of the written rows.
        drift: of the rows, beside those that the transform was fitted on.
        quarantined: whether rows were rejected.
        key_types: column of a key -> type.
        passthrough: raw columns that are published as they are -> kind.
    """

    unfitted: Unfitted
    checked: CheckedRows
    fitted: Fitted
    axes: tuple[HistogramAxis, ...]
    weights: dict[str, float]
    written: Written
    profile: Profile
    drift: tuple[ColumnDrift, ...]
    quarantined: bool
    key_types: dict[str, str]
    passthrough: dict[str, RawKind]


def build_rows(attempt: Attempt, plan: Plan, raw: RawRows) -> Built | NeedsPartitions | NeedsRefit:
    """Run both jobs.

    Returns:
        what was written; or why the build has to start again with another plan, and then what was
        written is to be discarded.

    Raises:
        LakeError, LedgerError: as `prepare`.
    """
    recipe, frozen = attempt.recipe, plan.frozen
    action = "processing" if frozen else "fitting on"
    attempt.report(Progress(f"{action} {raw.rows_read:,} rows"))
    key_types = resolve_key_types(recipe, raw.schema, frozen)
    with explain_spark_errors(f"recipe {recipe.name!r}"):
        spec = TransformSpec.from_json(frozen.transform_json) if frozen else None
        clean = clean_rows(recipe, raw, spec, frozen)
        options, blobs = _shuffle_rows(attempt, plan, raw, clean)
    checked, unfitted = clean.checked, clean.unfitted
    try:
        with explain_spark_errors(f"recipe {recipe.name!r}"):
            fitted = merge_statistics(blobs, unfitted, spec)
        attempt.clock.record_step("fit")
        needed = sorted(set(fitted.counts.shared_keys) - plan.processed)
        if needed:
            return NeedsPartitions(tuple(needed))
        buckets = count_buckets(fitted.counts, checked)
        refuse_violations(checked.checks, fitted.counts, raw.rows_read)
        if not frozen:
            refuse_no_train_rows(buckets, recipe)
            refuse_bad_labels(fitted.statistics[LABEL], recipe, buckets["train"])
        axes, weights = _choose_axes_and_weights(recipe, frozen, unfitted, fitted)
        write_options = WriteOptions(
            root=attempt.root,
            build_id=attempt.build_id,
            rows_per_row_group=recipe.dataset.rows_per_row_group,
            partitioner=options.partitioner,
            seed=recipe.split.seed,
            names=raw.partition_index.names,
            raw=tuple(unfitted.raw),
            axes=axes,
            class_weights=weights,
            passthrough=clean.passthrough,
            examples=recipe.dataset.raw_examples,
        )
        quarantining = [c.name for c in checked.checks if c.on_violation == "quarantine"]
        rejected = sum(buckets.get(name, 0) for name in quarantining)
        rows = sum(buckets.get(split, 0) for split in SPLITS)
        meanwhile = f", keeping {rejected:,} rejected ones" if rejected else ""
        attempt.report(Progress(f"writing {rows:,} rows{meanwhile}"))
        written = _write_rows(attempt, raw, clean, rejected, blobs, fitted.spec, write_options)
        attempt.clock.record_step("write")
    finally:
        blobs.unpersist()
        if options.late:
            options.late.unpersist()
    profile = build_profile(unfitted, axes, checked, fitted.counts, written)
    drift = _measure_drift(recipe, frozen, profile, written, attempt.report)
    if isinstance(drift, NeedsRefit):
        return drift
    return Built(
        unfitted=unfitted,
        checked=checked,
        fitted=fitted,
        axes=axes,
        weights=weights,
        written=written,
        profile=profile,
        drift=drift,
        quarantined=rejected > 0,
        key_types=key_types,
        passthrough=clean.passthrough,
    )


def _shuffle_rows(
    attempt: Attempt, plan: Plan, raw: RawRows, clean: CleanRows
) -> "tuple[ShuffleOptions, DataFrame]":
    """Plan the first job; return what its tasks are told, and the blobs that Spark will cache."""
    from pyspark import StorageLevel

    recipe, unfitted = attempt.recipe, clean.unfitted
    session = clean.rows.sparkSession
    is_large = not SMALL_KINDS.issuperset(unfitted.raw.values())
    row_bytes = 0 if is_large else _CELL_BYTES * len(unfitted.raw)
    rows = [raw.read[name] - raw.excluded[name] for name in raw.partition_index.names]
    rows_per_file = recipe.dataset.rows_per_file
    unread, partitioner = None, Partitioner.for_rows(rows, rows_per_file, row_bytes=row_bytes)
    if plan.base and plan.retained and can_span_partitions(recipe, plan.partitions):
        retained_rows = count_retained_rows(plan.base, plan)
        partitioner = Partitioner.for_rows(rows, rows_per_file, retained_rows, row_bytes)
        unread = read_unread_keys(session, plan.base, plan, partitioner)
    options = ShuffleOptions(
        unfitted=unfitted,
        checks=len(clean.checked.checks),
        partitioner=partitioner,
        seed=recipe.split.seed,
        partition_index=raw.partition_index,
        duplicates_folder=locate_duplicates(attempt.root, attempt.build_id),
        has_large_rows=is_large,
        collect_statistics=plan.frozen is None,
        late=session.sparkContext.broadcast(clean.late) if clean.late else None,
        passthrough=tuple(clean.passthrough),
    )
    blobs = shuffle_rows(clean.rows, options, unread).persist(StorageLevel.DISK_ONLY)
    return options, blobs


def _choose_axes_and_weights(
    recipe: Recipe, frozen: DatasetVersion | None, unfitted: Unfitted, fitted: Fitted
) -> tuple[tuple[HistogramAxis, ...], dict[str, float]]:
    """Return what distributions are counted on, and the weights of classes; both are frozen where
    the transform is."""
    if frozen:
        fitted_by = frozen.build.transform_of or frozen.build.build_id
        text = read_sidecar_text(frozen.root, fitted_by, AXES_FILE)
        return axes_from_json(text), frozen.build.class_weights
    axes = list_axes(fitted.spec, unfitted, fitted.statistics)
    if recipe.label.class_weight is None:
        return axes, {}
    return axes, compute_class_weights(recipe.label, fitted.statistics[LABEL])


def _write_rows(
    attempt: Attempt,
    raw: RawRows,
    clean: CleanRows,
    rejected: int,
    blobs: "DataFrame",
    spec: TransformSpec,
    options: WriteOptions,
) -> Written:
    """Run the second job and, in the background, keep the rejected rows, where there are any."""

    def keep_rejected() -> None:
        if rejected:
            write_quarantine(
                clean.checked,
                raw.main,
                root=attempt.root,
                build_id=attempt.build_id,
                expected=rejected,
            )

    with (
        BackgroundJob(clean.rows, attempt.build_id) as background,
        explain_spark_errors(f"recipe {attempt.recipe.name!r}"),
    ):
        keeping = background.start(keep_rejected)
        written = write_files(blobs, spec, options)
        keeping.result()
    return written


def _measure_drift(
    recipe: Recipe,
    frozen: DatasetVersion | None,
    profile: Profile,
    written: Written,
    report: Report,
) -> tuple[ColumnDrift, ...] | NeedsRefit:
    """Measure the drift of the written rows, and do what the recipe wants where they drifted."""
    if frozen is None:
        return ()
    rows, unseen = sum(sum(file.row_groups) for file in written.files), written.unseen.total()
    drift = measure_drift(frozen.fitted_profile, profile, recipe.increments, rows, unseen)
    lines = describe_drift(drift)
    if lines and recipe.increments.on_drift == "refit":
        return NeedsRefit("; ".join(lines[:3]))
    if recipe.increments.on_drift == "fail":
        refuse_drift(drift)
    if lines:
        report(Progress(f"rows drifted from those of the transform: {'; '.join(lines[:3])}"))
    return drift
