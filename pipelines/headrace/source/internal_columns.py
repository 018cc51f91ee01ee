"""Names of the columns that prepare adds to rows, chosen so that no raw column is in their way."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column

_OURS = "__headrace_"
BUCKET = f"{_OURS}bucket"  # where the row goes: position in `Buckets.names`
LABEL = f"{_OURS}label"
WEIGHT = f"{_OURS}weight"
BASELINE = f"{_OURS}baseline"
ROW_ID = f"{_OURS}row_id"  # from tag.py: null where the row has no dedup key
TWIN = f"{_OURS}twin"  # a second hash of the dedup key; null where there is none
TIE = f"{_OURS}tie"  # a hash of what is known of the row beside its raw columns
LATEST = f"{_OURS}latest"
FILE = f"{_OURS}file"  # hash of the path of the row's file
POSITION = f"{_OURS}position"  # of the row in its file
PARTITION = f"{_OURS}partition"  # position of the row's source partition in `Places.names`
PROBLEMS = f"{_OURS}problems"
MALFORMED = f"{_OURS}malformed"
RULES, REASONS = "quarantine_rules", "quarantine_reasons"


def as_read(column: str) -> str:
    """Name of a cast column's value as it was read."""
    return f"{_OURS}as_read_{column}"


def mask(number: int) -> str:
    """Name of a column with one bit a check, 62 checks each."""
    return f"{_OURS}violations_{number}"


def count_of(number: int) -> str:
    """Name of the column with the number of rows that share a unique rule's key."""
    return f"{_OURS}count_{number}"


def ours(name: str) -> bool:
    """Whether prepare added the column."""
    return name.startswith(_OURS)


def col(name: str) -> "Column":
    """A column by its exact name, dots, spaces and backticks included."""
    import pyspark.sql.functions as F

    return F.col(quoted(name))


def quoted(name: str) -> str:
    """The name as SQL has it."""
    return f"`{name.replace('`', '``')}`"
