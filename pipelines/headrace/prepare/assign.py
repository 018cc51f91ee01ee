"""Say of every raw row where it goes: to a split, or to a bucket of rows that are not published.

The split is a pure function of the key's values and the seed, or of the row's time; the identity
of a row is a function of its values: neither depends on partitions, the number of
executors, or what else is in the lake. Rows without a key get their identity later (`identity.py`),
duplicates are found where the rows of one key meet (`gather.py`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.lake.data_file import SPLITS
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.recipe.times import micros_of
from headrace.schema import ColumnType
from headrace.source.internal_columns import (
    BASELINE,
    BUCKET,
    FILE,
    LABEL,
    LATEST,
    POSITION,
    PROBLEMS,
    ROW_ID,
    TIE,
    TWIN,
    WEIGHT,
    col,
    mask,
)
from headrace.source.rules import BITS, Check, Checked
from headrace.source.types import RAW_KIND, as_kind, column_types
from headrace.transform.spec import RawKind

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

LABEL_MISSING, BASELINE_MISSING, TIME_MISSING, CROSSING = (
    "label is null", "label.baseline is null", "split.time.column is null",
    "window crosses a split boundary",
)  # fmt: skip
_SPLIT_STEPS = 1_000_000
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Buckets:
    """Where rows can go; a row's BUCKET is the position in `names`.

    Attributes:
        checks: those that were made.
        names: the splits, then reasons why rows are filtered, then checks that take rows out.
    """

    checks: tuple[Check, ...]

    @property
    def filters(self) -> tuple[str, ...]:
        return (LABEL_MISSING, BASELINE_MISSING, TIME_MISSING, CROSSING)

    @property
    def names(self) -> tuple[str, ...]:
        out = (c.name for c in self.checks if c.on_violation in ("quarantine", "drop", "fail"))
        return (*SPLITS, *self.filters, *out)


def tag_rows(
    checked: Checked,
    recipe: Recipe,
    raw: dict[str, RawKind],
    late: Collection[str] = (),
    *,
    with_file: bool = False,
) -> "DataFrame":
    """Add the bucket and the identity to every row, and keep what is needed.

    Args:
        checked: rows with labels, checked.
        recipe: dedup, split and windows are read.
        raw: raw columns to keep -> kind.
        late: those of them that the tasks read themselves.
        with_file: rows say which file they are from.

    Returns:
        a row for every row: the raw columns as their kinds but the late ones, BUCKET int, LABEL,
        ROW_ID and TIE long; where the recipe asks for them TWIN long, LATEST, WEIGHT, BASELINE; the
        masks and PROBLEMS where there are checks; FILE where it is asked for, and with POSITION
        where there are late columns.
    """
    import pyspark.sql.functions as F

    rows, dedup, split = checked.rows, recipe.clean.dedup, recipe.split
    key = list(dedup.key) if dedup else []
    latest = [dedup.latest_by] if dedup and dedup.latest_by else []
    times = [split.time.column] if split.time else []
    # The raw columns join this hash in the tasks, see `identity.py`.
    beside = sorted({*(split.key or []), *key, *latest, *times} - {*raw})
    known = [F.col(name) for name in (LABEL, WEIGHT, BASELINE) if name in rows.columns]
    tie = F.xxhash64(*(_hashable(rows, name) for name in beside), *known)
    # A null equals nothing: a row without its whole key is no duplicate, and goes by all of itself.
    has_key = F.lit(bool(key))
    for name in key:
        has_key = has_key & col(name).isNotNull()
    keyed = [_widest(rows, name) for name in key]
    by_key = F.xxhash64(*keyed) if key else F.lit(None).cast("long")
    row_id = F.when(has_key, by_key)
    carried = [as_kind(name, kind).alias(name) for name, kind in raw.items() if name not in late]
    if late or with_file:
        carried.append(F.col(FILE))
    if late:
        carried.append(F.col(POSITION))
    carried += [F.col(name) for name in (WEIGHT, BASELINE) if name in rows.columns]
    if key:
        twin = F.when(has_key, F.xxhash64(F.lit("twin"), *keyed))
        carried.append(twin.alias(TWIN))
    carried += [_orderable(rows, name).alias(LATEST) for name in latest]
    if checked.checks:
        carried += [F.col(mask(i)) for i in range((len(checked.checks) - 1) // BITS + 1)]
        carried.append(F.col(PROBLEMS))
    return rows.select(
        *carried,
        F.col(LABEL),
        _bucket(checked, recipe).cast("int").alias(BUCKET),
        row_id.alias(ROW_ID),
        tie.alias(TIE),
    )


def _bucket(checked: Checked, recipe: Recipe) -> "Column":
    """Position of the row's bucket: the first check that takes it out, quarantine before drop."""
    import pyspark.sql.functions as F

    buckets = Buckets(checked.checks)
    place = {name: position for position, name in enumerate(buckets.names)}
    chosen: Column | None = None
    for action in ("quarantine", "fail", "drop"):
        for index, check in enumerate(checked.checks):
            if check.on_violation == action:
                where = F.lit(place[check.name])
                hit = checked.violates(index)
                chosen = F.when(hit, where) if chosen is None else chosen.when(hit, where)
    reasons = [(F.col(LABEL).isNull(), LABEL_MISSING)]
    if recipe.label.baseline:
        reasons.append((F.col(BASELINE).isNull(), BASELINE_MISSING))
    if recipe.split.time:
        reasons.append((col(recipe.split.time.column).isNull(), TIME_MISSING))
    for hit, reason in reasons:
        where = F.lit(place[reason])
        chosen = F.when(hit, where) if chosen is None else chosen.when(hit, where)
    assert chosen is not None
    return chosen.otherwise(split_of(recipe, place[CROSSING]))


def split_of(recipe: Recipe, crossing: int = -1) -> "Column":
    """The split's position in SPLITS, a pure function of the key's text and the seed, or of time.

    The key's values go in as text, so that a column that is widened from int to long keeps its
    rows where they were. `crossing` is given to rows whose window crosses a boundary of time.
    """
    import pyspark.sql.functions as F

    split = recipe.split
    if split.time:
        return _split_by_time(split.time, recipe.source.windows, crossing)
    parts = [F.coalesce(col(name).cast("string"), F.lit("\x00")) for name in split.key or []]
    text = F.concat_ws(_SEPARATOR, F.lit(str(split.seed)), *parts)
    point = F.pmod(F.xxhash64(text), F.lit(_SPLIT_STEPS))
    train = round(split.fractions.train * _SPLIT_STEPS)
    validation = train + round(split.fractions.validation * _SPLIT_STEPS)
    last = 2 if split.fractions.test else 1
    return F.when(point < train, F.lit(0)).when(point < validation, F.lit(1)).otherwise(last)


def _split_by_time(time: s.TimeSplit, windows: s.Windows | None, crossing: int) -> "Column":
    import pyspark.sql.functions as F

    at = F.unix_micros(col(time.column).cast("timestamp"))
    before = (windows.past - 1) * windows.step * 10**6 if windows else 0
    after = windows.ahead * windows.step * 10**6 if windows else 0
    first, last = at - F.lit(before), at + F.lit(after)
    validation, test = F.lit(micros_of(time.validation_from)), F.lit(micros_of(time.test_from))
    return (
        F.when(last < validation, F.lit(0))
        .when((first >= validation) & (last < test), F.lit(1))
        .when(first >= test, F.lit(2))
        .otherwise(F.lit(crossing))
    )


def _widest(rows: "DataFrame", name: str) -> "Column":
    """Whole numbers as long, so that a key of a column that is widened has the same hash."""
    whole = column_types(rows)[name] == ColumnType.INTEGER
    return col(name).cast("long") if whole else col(name)


def _hashable(rows: "DataFrame", name: str) -> "Column":
    """Spark hashes no maps; everything else goes as it is."""
    import pyspark.sql.types as T

    kind = rows.schema[name].dataType
    return col(name).cast("string") if isinstance(kind, T.MapType) else col(name)


def _orderable(rows: "DataFrame", name: str) -> "Column":
    """The column as Arrow can sort it."""
    import pyspark.sql.types as T

    if isinstance(rows.schema[name].dataType, T.DecimalType):  # a double would lose digits
        return col(name)
    found = column_types(rows)[name]
    return as_kind(name, RAW_KIND[found]) if found in RAW_KIND else col(name).cast("string")
