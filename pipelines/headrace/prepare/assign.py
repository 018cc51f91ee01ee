"""Assign every raw row to a split, or to a bucket of rows that are not published.

The identity of a row is a function of its values: it does not depend on partitions, the number of
executors, or what else is in the lake. Rows without a key get theirs later
(`shuffle/row_hash.py`), duplicates are found where the rows of one key meet (`shuffle/reduce.py`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from headrace.columns.values import RawKind
from headrace.lake.data_file import SPLITS
from headrace.lake.time_boundaries import TimeBoundaries
from headrace.prepare.split import assign_split, read_time_micros
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
    TIME,
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
    boundaries: TimeBoundaries | None = None,
) -> "DataFrame":
    """Add the bucket and the identity to every row, and select what the tasks need.

    Args:
        checked: rows with labels, checked.
        recipe: dedup, split and windows are read.
        raw: raw columns that the tasks need -> kind.
        late: those of them that the tasks read themselves.
        with_file: whether rows have FILE.
        definition: of keys, see `source/keys.py`.
        boundaries: of a split by time; the recipe's dates by default.

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
    crossing = Buckets(checked.checks).names.index(CROSSING)
    split_position = assign_split(
        recipe, schema, crossing, definition=definition, boundaries=boundaries
    )
    return rows.select(
        *carried,
        F.col(LABEL),
        _choose_bucket(checked, recipe, split_position).cast("int").alias(BUCKET),
        row_id.alias(ROW_ID),
        tie.alias(TIE_BREAKER),
    )


def select_candidates(checked: CheckedRows, recipe: Recipe) -> "DataFrame":
    """Select the times of the rows that no check and no filter takes out, of one key one.

    Of rows with one dedup key, it is the one that stays; where `latest_by` settles it not, the
    newest.

    Args:
        checked: rows with labels, checked.
        recipe: dedup and the column of split.time are read.

    Returns:
        a row for every candidate: its time in microseconds, TIME.
    """
    import pyspark.sql.functions as F

    time, dedup = recipe.split.time, recipe.clean.dedup
    assert time is not None
    chosen = checked.rows.where(_choose_bucket(checked, recipe, F.lit(0)) == 0)
    micros = read_time_micros(time.column).alias(TIME)
    if dedup is None:
        return chosen.select(micros)
    key, schema = list(dedup.key), checked.schema
    digest = F.when(has_whole_key(key), digest_key(key, schema, KEY_DEFINITION))
    latest = _make_comparable(dedup.latest_by, schema) if dedup.latest_by else F.lit(0)
    # A null equals nothing: a row without its whole key is no duplicate.
    rows = chosen.select(
        micros,
        digest.alias(KEY_DIGEST),
        latest.alias(LATEST),
        F.when(digest.isNull(), F.monotonically_increasing_id()).alias(ROW_ID),
    )
    newest = F.max(F.struct(LATEST, TIME)).alias(LATEST)
    return rows.groupBy(KEY_DIGEST, ROW_ID).agg(newest).select(f"{LATEST}.{TIME}")


def _choose_bucket(checked: CheckedRows, recipe: Recipe, split_position: "Column") -> "Column":
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
        reasons.append((read_time_micros(recipe.split.time.column).isNull(), TIME_MISSING))
    for applies, reason in reasons:
        position = F.lit(positions[reason])
        chosen = F.when(applies, position) if chosen is None else chosen.when(applies, position)
    assert chosen is not None
    return chosen.otherwise(split_position)


def _list_nulls(columns: "list[Column]") -> "Column":
    """Return the positions of nulls as text, null where there is none: a hash passes over nulls."""
    import pyspark.sql.functions as F

    marks = [F.when(column.isNull(), F.lit(str(i))) for i, column in enumerate(columns)]
    has_null = reduce(lambda one, other: one | other, [column.isNull() for column in columns])
    return F.when(has_null, F.concat_ws(",", *marks))


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


def _make_comparable(name: str, schema: RawSchema) -> "Column":
    """Return a column as Spark compares it like Arrow: NaN is below all numbers."""
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    value = _make_orderable(name, schema)
    is_real = isinstance(schema.spark_types[name], T.FloatType | T.DoubleType)
    return F.when(~F.isnan(value), value) if is_real else value
