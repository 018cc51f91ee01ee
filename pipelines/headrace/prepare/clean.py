"""Clean raw rows: label, check and window them, and assign each to its split or another bucket.

Nothing is computed here, but for boundaries of time that follow from the rows: the rows are a plan
of Spark, which the first job runs.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from headrace.columns.values import RawKind
from headrace.lake.build import StoredColumn
from headrace.lake.time_boundaries import TimeBoundaries
from headrace.lake.version import DatasetVersion
from headrace.prepare.assign import assign_rows
from headrace.prepare.compatibility import (
    resolve_fit_inputs,
    resolve_passthrough,
    resolve_stored_columns,
)
from headrace.prepare.labels import add_labels
from headrace.prepare.split_boundaries import resolve_boundaries
from headrace.recipe import Recipe
from headrace.source.internal_columns import FILE, POSITION
from headrace.source.keys import KEY_DEFINITION
from headrace.source.late_materialization import LateColumns, find_late_columns, has_file_order
from headrace.source.read import RawRows
from headrace.source.rules import Check, CheckedRows, check_labels, check_rows
from headrace.source.windows import add_windows
from headrace.transform.fit import FitInputs
from headrace.transform.spec import TransformSpec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True, kw_only=True)
class RowPlan:
    """What becomes of rows.

    Attributes:
        checks: of every row, in the order of their bits.
        fit_inputs: what is to be fitted on them.
        passthrough: raw columns that are published as they are -> kind.
        stored: raw columns whose values lie beside the rows that are judged.
        boundaries: of a split by time that follow from the rows; None for others.
    """

    checks: tuple[Check, ...]
    fit_inputs: FitInputs
    passthrough: dict[str, RawKind]
    stored: dict[str, StoredColumn]
    boundaries: TimeBoundaries | None


@dataclass(frozen=True, kw_only=True)
class CleanRows(RowPlan):
    """Rows with their label and the bucket that they go to.

    Attributes:
        checked: all columns, for the quarantine.
        rows: what the tasks of the first job take.
        late: columns that those tasks read themselves.
    """

    checked: CheckedRows
    rows: "DataFrame"
    late: LateColumns | None = None


def clean_rows(
    recipe: Recipe,
    raw: RawRows,
    spec: TransformSpec | None,
    reused_version: DatasetVersion | None,
    now: datetime,
    invalid_texts: Collection[str] = (),
    retained_version: DatasetVersion | None = None,
) -> CleanRows:
    """Label, check and window raw rows, and assign each to its bucket.

    Args:
        recipe: all that is said of rows.
        raw: the rows.
        spec: the transform that rows are added to; None where it is fitted.
        reused_version: the version that has it, and the boundaries of its split by time.
        now: the current time.
        invalid_texts: columns with texts that are no UTF-8.
        retained_version: the version whose rows stay as they are, beside these; None where there is
            none.

    Raises:
        LakeError: a rule or an expression does not fit the columns; or a column has another type
            than the transform was fitted on; or no boundaries of a split by time follow from
            the rows.
    """
    windows = recipe.source.windows
    # A transform of today applies the rules itself, which an older one left to Spark.
    applies_rules = spec is None or spec.rules is not None
    definition = reused_version.build.key_definition if reused_version else KEY_DEFINITION
    rows, schema = raw.rows, raw.schema
    if windows:  # rules look at single rows; what they reject is in no window
        rows, schema = rows.drop(FILE, POSITION), schema.without_columns(FILE, POSITION)
        checked = check_rows(
            rows, schema, recipe, raw.main, texts=invalid_texts, keep_as_read=applies_rules
        )
        excluded = checked.violates_any("quarantine", "drop")
        rows, schema = add_windows(checked.rows, checked.schema, windows, excluded)
        rows, schema = add_labels(rows, schema, recipe)
        labelled = replace(checked, rows=rows, schema=schema)
        labelled = check_labels(labelled, raw.main, invalid_texts)
        if len(labelled.checks) > len(checked.checks):  # else the quarantine needs no windows
            checked = labelled
    else:
        rows, schema = add_labels(rows, schema, recipe)
        labelled = checked = check_rows(
            rows, schema, recipe, raw.main, texts=invalid_texts, keep_as_read=applies_rules
        )
    fit_inputs = resolve_fit_inputs(recipe, schema, spec)
    passthrough = resolve_passthrough(recipe, schema, reused_version)
    stored = resolve_stored_columns(recipe, schema, fit_inputs.raw, retained_version)
    carried = {**passthrough, **fit_inputs.raw}
    boundaries = (
        reused_version.build.time_boundaries
        if reused_version
        else resolve_boundaries(recipe, labelled, now)
    )
    assign = partial(
        assign_rows, labelled, recipe, carried, definition=definition, boundaries=boundaries
    )
    make = partial(
        CleanRows,
        checks=checked.checks,
        fit_inputs=fit_inputs,
        passthrough=passthrough,
        stored=stored,
        boundaries=boundaries,
        checked=checked,
    )
    if windows:
        return make(rows=assign())
    with_file = raw.partition_index.needs_file
    late = find_late_columns(raw.main, checked.checks, carried)
    if late:
        assigned = assign(late.columns, with_file=with_file)
        if has_file_order(assigned):
            return make(rows=assigned, late=late)
    return make(rows=assign(with_file=with_file))
