"""Assign rows to splits: a pure function of the split key's text and the seed, or of the time.

It depends neither on partitions, nor on the number of executors, nor on what else is in the lake;
but for boundaries of time that follow from the newest rows, which are resolved once, where the
transform is fitted (`split_boundaries.py`).
"""

from typing import TYPE_CHECKING

from headrace.lake.time_boundaries import TimeBoundaries
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.source.internal_columns import col
from headrace.source.keys import KEY_DEFINITION, write_key_text
from headrace.source.raw_schema import RawSchema

if TYPE_CHECKING:
    from pyspark.sql import Column

KEY_SEPARATOR = "\x1f"
"""Between the seed and the values of a split key, in the text whose hash decides."""
MISSING_KEY = "\x00"
"""A null in that text."""
SPLIT_STEPS = 1_000_000
"""Points that a hash can fall on; a split has its share of them."""


def assign_split(
    recipe: Recipe,
    schema: RawSchema,
    crossing: int = -1,
    *,
    definition: int = KEY_DEFINITION,
    boundaries: TimeBoundaries | None = None,
) -> "Column":
    """Return the position of a row's split in SPLITS.

    The key's values are hashed as text, so that rows stay in their split where a column is widened
    from int to long.

    Args:
        recipe: split and windows are read.
        schema: of the rows.
        crossing: given to rows whose window crosses a boundary of time.
        definition: of keys, see `source/keys.py`.
        boundaries: of a split by time; the recipe's dates by default.
    """
    import pyspark.sql.functions as F

    split = recipe.split
    if split.time:
        boundaries = boundaries or TimeBoundaries.from_dates(split.time)
        windows = recipe.source.windows
        return _assign_split_by_time(split.time, boundaries, windows, crossing)
    texts = [write_key_text(name, schema, definition) for name in split.key or []]
    parts = [F.coalesce(text, F.lit(MISSING_KEY)) for text in texts]
    text = F.concat_ws(KEY_SEPARATOR, F.lit(str(split.seed)), *parts)
    point = F.pmod(F.xxhash64(text), F.lit(SPLIT_STEPS))
    train = round(split.fractions.train * SPLIT_STEPS)
    validation = train + round(split.fractions.validation * SPLIT_STEPS)
    last = 2 if split.fractions.test else 1
    return F.when(point < train, F.lit(0)).when(point < validation, F.lit(1)).otherwise(last)


def read_time_micros(column: str) -> "Column":
    """Return the microseconds since 1970-01-01 UTC of the column that rows are split by."""
    import pyspark.sql.functions as F

    return F.unix_micros(col(column).cast("timestamp"))


def _assign_split_by_time(
    time: s.TimeSplit, boundaries: TimeBoundaries, windows: s.Windows | None, crossing: int
) -> "Column":
    """Return the split that a row's time, and the window around it, lies in."""
    import pyspark.sql.functions as F

    time_micros = read_time_micros(time.column)
    before = (windows.past - 1) * windows.step * 10**6 if windows else 0
    after = windows.ahead * windows.step * 10**6 if windows else 0
    first, last = time_micros - F.lit(before), time_micros + F.lit(after)
    validation, test = F.lit(boundaries.validation_from), F.lit(boundaries.test_from)
    return (
        F.when(last < validation, F.lit(0))
        .when((first >= validation) & (last < test), F.lit(1))
        .when(first >= test, F.lit(2))
        .otherwise(F.lit(crossing))
    )
