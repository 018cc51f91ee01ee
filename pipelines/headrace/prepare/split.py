"""Assign rows to splits: a pure function of the split key's text and the seed, or of the time.

It depends neither on partitions, nor on the number of executors, nor on what else is in the lake.
"""

from typing import TYPE_CHECKING

from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.recipe.times import parse_time_to_micros
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
    recipe: Recipe, schema: RawSchema, crossing: int = -1, *, definition: int = KEY_DEFINITION
) -> "Column":
    """Return the position of a row's split in SPLITS.

    The key's values are hashed as text, so that rows stay in their split where a column is widened
    from int to long.

    Args:
        recipe: split and windows are read.
        schema: of the rows.
        crossing: given to rows whose window crosses a boundary of time.
        definition: of keys, see `source/keys.py`.
    """
    import pyspark.sql.functions as F

    split = recipe.split
    if split.time:
        return _assign_split_by_time(split.time, recipe.source.windows, crossing)
    texts = [write_key_text(name, schema, definition) for name in split.key or []]
    parts = [F.coalesce(text, F.lit(MISSING_KEY)) for text in texts]
    text = F.concat_ws(KEY_SEPARATOR, F.lit(str(split.seed)), *parts)
    point = F.pmod(F.xxhash64(text), F.lit(SPLIT_STEPS))
    train = round(split.fractions.train * SPLIT_STEPS)
    validation = train + round(split.fractions.validation * SPLIT_STEPS)
    last = 2 if split.fractions.test else 1
    return F.when(point < train, F.lit(0)).when(point < validation, F.lit(1)).otherwise(last)


def _assign_split_by_time(time: s.TimeSplit, windows: s.Windows | None, crossing: int) -> "Column":
    """Return the split that a row's time, and the window around it, lies in."""
    import pyspark.sql.functions as F

    time_micros = F.unix_micros(col(time.column).cast("timestamp"))
    before = (windows.past - 1) * windows.step * 10**6 if windows else 0
    after = windows.ahead * windows.step * 10**6 if windows else 0
    first, last = time_micros - F.lit(before), time_micros + F.lit(after)
    validation, test = (
        F.lit(parse_time_to_micros(time.validation_from)),
        F.lit(parse_time_to_micros(time.test_from)),
    )
    return (
        F.when(last < validation, F.lit(0))
        .when((first >= validation) & (last < test), F.lit(1))
        .when(first >= test, F.lit(2))
        .otherwise(F.lit(crossing))
    )
