"""Name the columns that Headrace adds to raw rows, so that no raw column can have such a name."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column

_PREFIX = "__headrace_"
BUCKET = f"{_PREFIX}bucket"  # where the row goes: position in `Buckets.names`
LABEL = f"{_PREFIX}label"
WEIGHT = f"{_PREFIX}weight"
BASELINE = f"{_PREFIX}baseline"
ROW_ID = f"{_PREFIX}row_id"  # hash of the dedup key; null where the row has none
SECOND_KEY_HASH = f"{_PREFIX}twin"  # tells two keys of one ROW_ID apart
TIE = f"{_PREFIX}tie"  # hash of all that decides between equal keys beside the raw columns
LATEST = f"{_PREFIX}latest"
FILE = f"{_PREFIX}file"  # hash of the path of the row's file
POSITION = f"{_PREFIX}position"  # of the row in its file
PARTITION = f"{_PREFIX}partition"  # of the row: position in `PartitionIndex.names`
PROBLEMS = f"{_PREFIX}problems"
MALFORMED = f"{_PREFIX}malformed"
RULES, REASONS = "quarantine_rules", "quarantine_reasons"


def name_as_read(column: str) -> str:
    """Return the name of a cast column's value as it was read."""
    return f"{_PREFIX}as_read_{column}"


def name_written(column: str) -> str:
    """Return the name of a column's value as it is written beside predictions."""
    return f"{_PREFIX}written_{column}"


def name_mask(number: int) -> str:
    """Return the name of a column with one bit for each of `rules.CHECKS_PER_MASK` checks."""
    return f"{_PREFIX}violations_{number}"


def name_count(number: int) -> str:
    """Return the name of the column with the number of rows that share a unique rule's key."""
    return f"{_PREFIX}count_{number}"


def is_internal(name: str) -> bool:
    """Return whether Headrace added the column."""
    return name.startswith(_PREFIX)


def col(name: str) -> "Column":
    """Return a column by its exact name, dots, spaces and backticks included."""
    import pyspark.sql.functions as F

    return F.col(quote_name(name))


def quote_name(name: str) -> str:
    """Return the name as SQL quotes it."""
    return f"`{name.replace('`', '``')}`"
