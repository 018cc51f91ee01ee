"""Process rows: from the raw tables to written files that no one sees yet.

Two jobs: the first reads the lake, fits the transform and counts every bucket; the second
transforms and writes what the first kept. Where rows were rejected, they are read once more with
all their columns, beside the second job.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.lake.build import read_sidecar_text
from headrace.lake.data_file import SPLITS
from headrace.lake.drift import ColumnDrift, drift_lines
from headrace.lake.histogram import AXES, Axis, axes_from_json
from headrace.lake.profile import Profile
from headrace.lake.version import DatasetVersion
from headrace.prepare.accounts import named_buckets, profile_of
from headrace.prepare.assign import tag_rows
from headrace.prepare.attempt import Attempt, ContactError, DriftedError
from headrace.prepare.background_job import Beside
from headrace.prepare.compatibility import kept_as_before, key_types_as_before, unfitted_as_before
from headrace.prepare.drift import drift_between, refuse_drift
from headrace.prepare.labels import with_labels
from headrace.prepare.plan import Plan
from headrace.prepare.refusals import refuse_bad_labels, refuse_no_train_rows, refuse_violations
from headrace.prepare.shuffle.dedup_across_partitions import (
    duplicates_folder,
    kept_rows,
    rivals_of,
    spans_partitions,
)
from headrace.prepare.shuffle.merge_statistics import Fitted, fit
from headrace.prepare.shuffle.options import Gathering
from headrace.prepare.shuffle.partitioner import Layout
from headrace.prepare.shuffle.reduce import gathered
from headrace.prepare.write.job import Writing, Written, write_files
from headrace.prepare.write.tally import axes_of
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.source.internal_columns import FILE, POSITION
from headrace.source.late_materialization import Late, keeps_order, late_of
from headrace.source.quarantine.by_query import write_quarantine
from headrace.source.read import Raw, kept_kinds
from headrace.source.rules import Checked, check_rows
from headrace.source.spark_errors import explained
from headrace.source.types import SMALL_KINDS
from headrace.source.windows import add_windows
from headrace.transform.fit import Unfitted, class_weights
from headrace.transform.spec import RawKind, TransformSpec
from headrace.transform.variables import LABEL

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_CELL_BYTES = 10  # of a raw row's number or text, about


@dataclass(frozen=True)
class Rows:
    """Written rows, and what was found out about them."""

    unfitted: Unfitted
    checked: Checked
    fitted: Fitted
    axes: tuple[Axis, ...]
    weights: dict[str, float]
    written: Written
    profile: Profile
    drift: tuple[ColumnDrift, ...]
    quarantined: bool
    key_types: dict[str, str]
    kept: dict[str, RawKind]


def build_rows(attempt: Attempt, plan: Plan, raw: Raw) -> Rows:
    """Run the jobs.

    Raises:
        LakeError, LedgerError: as `prepare`.
        ContactError: more source partitions have to be processed.
        DriftedError: the transform has to be fitted again.
    """
    from pyspark import StorageLevel

    recipe, frozen = attempt.recipe, plan.frozen
    what = "processing" if frozen else "fitting on"
    attempt.report(Progress(f"{what} {raw.rows_read:,} rows"))
    key_types = key_types_as_before(recipe, raw.rows, frozen)
    with explained(f"recipe {recipe.name!r}"):
        spec = TransformSpec.from_json(frozen.transform_json) if frozen else None
        checked, unfitted, tagged, late = _tagged(recipe, raw, spec)
        kept_columns = kept_as_before(recipe, raw.rows, frozen)
        small = SMALL_KINDS.issuperset(unfitted.raw.values())
        row_bytes = _CELL_BYTES * len(unfitted.raw) if small else 0
        others, layout = None, _layout(recipe, raw, row_bytes)
        if plan.base and plan.kept and spans_partitions(recipe, plan.partitions):
            layout = _layout(recipe, raw, row_bytes, kept_rows(plan.base, plan))
            others = rivals_of(tagged.sparkSession, plan.base, plan, layout)
        shared = tagged.sparkSession.sparkContext.broadcast(late) if late else None
        gathering = Gathering(
            unfitted=unfitted,
            checks=len(checked.checks),
            layout=layout,
            seed=recipe.split.seed,
            places=raw.places,
            duplicates=duplicates_folder(attempt.root, attempt.build_id),
            learn=spec is None,
            late=shared,
            kept=tuple(kept_columns),
        )
        blobs = gathered(tagged, gathering, others).persist(StorageLevel.DISK_ONLY)
    try:
        with explained(f"recipe {recipe.name!r}"):
            fitted = fit(blobs, unfitted, spec)
        attempt.clock.lap("fit")
        contacts = sorted(set(fitted.counts.contacts) - plan.process)
        if contacts:
            raise ContactError(contacts)
        buckets = named_buckets(fitted.counts, checked)
        refuse_violations(checked.checks, fitted.counts, raw.rows_read)
        if not frozen:
            refuse_no_train_rows(buckets, recipe)
            refuse_bad_labels(fitted.statistics[LABEL], recipe, buckets["train"])
        axes, weights = _counted_on(recipe, frozen, unfitted, fitted)
        writing = Writing(
            root=attempt.root,
            build_id=attempt.build_id,
            rows_per_row_group=recipe.dataset.rows_per_row_group,
            layout=layout,
            seed=recipe.split.seed,
            names=raw.places.names,
            raw=tuple(unfitted.raw),
            axes=axes,
            class_weights=weights,
            kept=kept_columns,
            examples=recipe.dataset.raw_examples,
        )
        takes_out = [c.name for c in checked.checks if c.on_violation == "quarantine"]
        rejected = sum(buckets.get(name, 0) for name in takes_out)
        kept = sum(buckets.get(split, 0) for split in SPLITS)
        beside_it = f", keeping {rejected:,} rejected ones" if rejected else ""
        attempt.report(Progress(f"writing {kept:,} rows{beside_it}"))
        written = _write(attempt, raw, tagged, checked, rejected, blobs, fitted.spec, writing)
        attempt.clock.lap("write")
    finally:
        blobs.unpersist()
        if shared:
            shared.unpersist()
    profile = profile_of(unfitted, axes, checked, fitted.counts, written)
    drift = _drift(recipe, frozen, profile, written, attempt.report)
    return Rows(
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
        kept=kept_columns,
    )


def _counted_on(
    recipe: Recipe, frozen: DatasetVersion | None, unfitted: Unfitted, fitted: Fitted
) -> tuple[tuple[Axis, ...], dict[str, float]]:
    """What distributions are counted on, and the weights of classes; frozen as the transform is."""
    if frozen:
        fitted_by = frozen.build.transform_of or frozen.build.build_id
        text = read_sidecar_text(frozen.root, fitted_by, AXES)
        return axes_from_json(text), frozen.build.class_weights
    axes = axes_of(fitted.spec, unfitted, fitted.statistics)
    if recipe.label.class_weight is None:
        return axes, {}
    return axes, class_weights(recipe.label, fitted.statistics[LABEL])


def _write(
    attempt: Attempt,
    raw: Raw,
    tagged: "DataFrame",
    checked: Checked,
    rejected: int,
    blobs: "DataFrame",
    spec: TransformSpec,
    writing: Writing,
) -> Written:
    """The second job, and beside it the rejected rows, where there are any."""

    def keep() -> None:
        if rejected:
            write_quarantine(
                checked,
                raw.main,
                root=attempt.root,
                build_id=attempt.build_id,
                expected=rejected,
            )

    with Beside(tagged, attempt.build_id) as beside, explained(f"recipe {attempt.recipe.name!r}"):
        keeping = beside.start(keep)
        written = write_files(blobs, spec, writing)
        keeping.result()
    return written


def _drift(
    recipe: Recipe,
    frozen: DatasetVersion | None,
    profile: Profile,
    written: Written,
    report: Report,
) -> tuple[ColumnDrift, ...]:
    if frozen is None:
        return ()
    rows, unseen = sum(sum(file.row_groups) for file in written.files), written.unseen.total()
    drift = drift_between(frozen.fitted_profile, profile, recipe.increments, rows, unseen)
    lines = drift_lines(drift)
    if lines and recipe.increments.on_drift == "refit":
        raise DriftedError("; ".join(lines[:3]))
    if recipe.increments.on_drift == "fail":
        refuse_drift(drift)
    if lines:
        report(Progress(f"rows drifted from those of the transform: {'; '.join(lines[:3])}"))
    return drift


def _layout(recipe: Recipe, raw: Raw, row_bytes: int, rivals: int = 0) -> Layout:
    rows = [raw.read[name] - raw.excluded[name] for name in raw.places.names]
    return Layout.of(rows, recipe.dataset.rows_per_file, rivals, row_bytes)


def _tagged(
    recipe: Recipe, raw: Raw, spec: TransformSpec | None
) -> "tuple[Checked, Unfitted, DataFrame, Late | None]":
    """The checked rows (for the quarantine), what is to be fitted, and the rows for the tasks."""
    windows, with_file = recipe.source.windows, raw.places.by_file
    if not windows:
        rows = with_labels(raw.rows, recipe)
        checked = check_rows(rows, recipe, raw.main)
        unfitted = unfitted_as_before(recipe, rows, spec)
        carried = {**kept_kinds(recipe, rows), **unfitted.raw}
        late = late_of(raw.main, checked.checks, carried)
        if late:
            tagged = tag_rows(checked, recipe, carried, late.columns, with_file=with_file)
            if keeps_order(tagged):
                return checked, unfitted, tagged, late
        tagged = tag_rows(checked, recipe, carried, with_file=with_file)
        return checked, unfitted, tagged, None
    # Rules look at single rows; what they reject is in no window.
    checked = check_rows(raw.rows.drop(FILE, POSITION), recipe, raw.main)
    excluded = checked.any_of("quarantine", "drop")
    rows = checked.rows
    if excluded is not None:
        rows = rows.withColumn("__headrace_excluded", excluded)
    rows = add_windows(rows, windows, "__headrace_excluded" if excluded is not None else None)
    rows = with_labels(rows, recipe)
    unfitted = unfitted_as_before(recipe, rows, spec)
    carried = {**kept_kinds(recipe, rows), **unfitted.raw}
    tagged = tag_rows(Checked(rows, checked.checks), recipe, carried)
    return checked, unfitted, tagged, None
