"""Assign every raw row to a split, or to a bucket of rows that are not published.

The identity of a row is a function of its values: it does not depend on partitions, the number of
executors, or what else is in the lake. Rows without a key get theirs later
(`shuffle/row_hash.py`), duplicates are found where the rows of one key meet (`shuffle/reduce.py`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.columns.values import RawKind
from headrace.lake.data_file import SPLITS
from headrace.prepare.split import assign_split
from headrace.recipe import Recipe
from headrace.source.internal_columns import (
    BASELINE,
    BUCKET,
    FILE,
    KEY_DIGEST,
    LABEL,
    LATEST,
    POSITION,
    PROBLEMS,
    ROW_ID,
    TIE_BREAKER,
    WEIGHT,
    col,
    list_join_keys,
    name_mask,
)
from headrace.source.keys import KEY_DEFINITION, digest_key, has_whole_key, propose_key
from headrace.source.raw_schema import RawSchema
from headrace.source.rules import CHECKS_PER_MASK, Check, CheckedRows
from headrace.source.types import RAW_KINDS, convert_to_kind

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

LABEL_MISSING, BASELINE_MISSING, TIME_MISSING, CROSSING = (
    "label is null", "label.baseline is null", "split.time.column is null",
    "window crosses a split boundary",
)  # fmt: skip


@dataclass(frozen=True)
class Buckets:
    """The buckets that rows can go to; a row's BUCKET is the position in `names`.

    Attributes:
        checks: of the rows.
    """

    checks: tuple[Check, ...]

    @property
    def filters(self) -> tuple[str, ...]:
        """Return the reasons why rows are filtered."""
        return (LABEL_MISSING, BASELINE_MISSING, TIME_MISSING, CROSSING)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the splits, then the filters, then the checks that take rows out."""
        rejecting = (
            c.name for c in self.checks if c.on_violation in ("quarantine", "drop", "fail")
        )
        return (*SPLITS, *self.filters, *rejecting)


def assign_rows(
    checked: CheckedRows,
    recipe: Recipe,
    raw: dict[str, RawKind],
    late: Collection[str] = (),
    *,
    with_file: bool = False,
    definition: int = KEY_DEFINITION,
) -> "DataFrame":
    """Add the bucket and the identity to every row, and select what the tasks need.

    Args:
        checked: rows with labels, checked.
        recipe: dedup, split and windows are read.
        raw: raw columns that the tasks need -> kind.
        late: those of them that the tasks read themselves.
        with_file: whether rows have FILE.
        definition: of keys, see `source/keys.py`.

    Returns:
        a row for every row: the raw columns as their kinds but the late ones, BUCKET int, LABEL,
        ROW_ID and TIE_BREAKER long; where the recipe needs them KEY_DIGEST, LATEST,
        WEIGHT, BASELINE; the masks and PROBLEMS where there are checks; FILE where it is needed,
        and with POSITION where there are late columns; the hashes of joins' keys, if any.
    """
    import pyspark.sql.functions as F

    rows, schema = checked.rows, checked.schema
    dedup, split = recipe.clean.dedup, recipe.split
    key = list(dedup.key) if dedup else []
    latest = [dedup.latest_by] if dedup and dedup.latest_by else []
    times = [split.time.column] if split.time else []
    # The raw columns are added to this hash in the tasks, see `shuffle/dedup.py`.
    not_raw = sorted({*(split.key or []), *key, *latest, *times} - {*raw})
    labels = [F.col(name) for name in (LABEL, WEIGHT, BASELINE) if name in schema.names]
    ties = [*(_make_hashable(name, schema) for name in not_raw), *labels]
    if definition > 1:
        ties.append(_list_nulls(ties))
    tie = F.xxhash64(*ties)
    # A null equals nothing: a row without its whole key is no duplicate, and is identified by all
    # of its values.
    has_key = F.lit(bool(key)) & has_whole_key(key)
    row_id = F.when(has_key, propose_key(key, schema)) if key else F.lit(None).cast("long")
    carried = [
        convert_to_kind(checked.name_as_read(name), kind).alias(name)
        for name, kind in raw.items()
        if name not in late
    ]
    if late or with_file:
        carried.append(F.col(FILE))
    if late:
        carried.append(F.col(POSITION))
    carried += [F.col(name) for name in (WEIGHT, BASELINE) if name in schema.names]
    carried += [F.col(name) for name in list_join_keys(schema.names).values()]
    if key:
        carried.append(F.when(has_key, digest_key(key, schema, definition)).alias(KEY_DIGEST))
    carried += [_make_orderable(name, schema).alias(LATEST) for name in latest]
    if checked.checks:
        carried += [
            F.col(name_mask(i)) for i in range((len(checked.checks) - 1) // CHECKS_PER_MASK + 1)
        ]
        carried.append(F.col(PROBLEMS))
    return rows.select(
        *carried,
        F.col(LABEL),
        _assign_bucket(checked, recipe, definition).cast("int").alias(BUCKET),
        row_id.alias(ROW_ID),
        tie.alias(TIE_BREAKER),
    )


def _assign_bucket(checked: CheckedRows, recipe: Recipe, definition: int) -> "Column":
    """Return the position of a row's bucket.

    It is the one of the first check that takes the row out, quarantine before drop; else of the
    first reason to filter it; else of its split.
    """
    import pyspark.sql.functions as F

    buckets = Buckets(checked.checks)
    positions = {name: position for position, name in enumerate(buckets.names)}
    chosen: Column | None = None
    for action in ("quarantine", "fail", "drop"):
        for index, check in enumerate(checked.checks):
            if check.on_violation == action:
                position = F.lit(positions[check.name])
                violated = checked.violates_check(index)
                chosen = (
                    F.when(violated, position)
                    if chosen is None
                    else chosen.when(violated, position)
                )
    reasons = [(F.col(LABEL).isNull(), LABEL_MISSING)]
    if recipe.label.baseline:
        reasons.append((F.col(BASELINE).isNull(), BASELINE_MISSING))
    if recipe.split.time:
        reasons.append((col(recipe.split.time.column).isNull(), TIME_MISSING))
    for applies, reason in reasons:
        position = F.lit(positions[reason])
        chosen = F.when(applies, position) if chosen is None else chosen.when(applies, position)
    assert chosen is not None
    return chosen.otherwise(
        assign_split(recipe, checked.schema, positions[CROSSING], definition=definition)
    )


def _list_nulls(columns: "list[Column]") -> "Column":
    """Return the positions of nulls as text, null where there is none: a hash passes over nulls."""
    import pyspark.sql.functions as F

    marks = [F.when(column.isNull(), F.lit(str(i))) for i, column in enumerate(columns)]
    text = F.concat_ws(",", *marks)
    return F.when(text != "", text)


def _make_hashable(name: str, schema: RawSchema) -> "Column":
    """Return a column as Spark can hash it: maps as texts, all else as it is."""
    import pyspark.sql.types as T

    is_map = isinstance(schema.spark_types[name], T.MapType)
    return col(name).cast("string") if is_map else col(name)


def _make_orderable(name: str, schema: RawSchema) -> "Column":
    """Return a column as Arrow can sort it."""
    import pyspark.sql.types as T

    if isinstance(schema.spark_types[name], T.DecimalType):  # a double would lose digits
        return col(name)
    if schema.types[name] in RAW_KINDS:
        return convert_to_kind(name, schema.get_raw_kind(name))
    return col(name).cast("string")
