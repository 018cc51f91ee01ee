"""List the names of the columns that Headrace adds to raw rows, under a prefix that no raw column
may have."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_PREFIX = "__headrace_"
BUCKET = f"{_PREFIX}bucket"  # where the row goes: position in `Buckets.names`
LABEL = f"{_PREFIX}label"
WEIGHT = f"{_PREFIX}weight"
BASELINE = f"{_PREFIX}baseline"
ROW_ID = f"{_PREFIX}row_id"  # hash of the dedup key; null where the row has none
# Digest of the dedup key, see `keys.py`: 16 bytes, or int64; datasets have files with it.
KEY_DIGEST = f"{_PREFIX}twin"
# Hash of what breaks ties between equal keys, besides the raw columns.
TIE_BREAKER = f"{_PREFIX}tie_breaker"
LATEST = f"{_PREFIX}latest"
TIME = f"{_PREFIX}time"  # of the row, by which it is split: microseconds since 1970-01-01 UTC
FILE = f"{_PREFIX}file"  # hash of the path of the row's file
POSITION = f"{_PREFIX}position"  # of the row in its file
PARTITION = f"{_PREFIX}partition"  # of the row: position in `PartitionIndex.names`
PROBLEMS = f"{_PREFIX}problems"
MALFORMED = f"{_PREFIX}malformed"
NOT_CASTABLE = f"{_PREFIX}not_castable"  # whether a value of a joined row does not cast
FOLDER = f"{_PREFIX}folder"  # a partition's folder
EXCLUDED = f"{_PREFIX}excluded"  # whether no window may have the row's values
SERIES = f"{_PREFIX}series"  # hash of the key of windows
STEP = f"{_PREFIX}step"  # of the row in its series
_JOIN_KEY = f"{_PREFIX}join_key_"
RULES, REASONS = "quarantine_rules", "quarantine_reasons"


def name_before_cast(column: str) -> str:
    """Return the name of the column with a cast column's values before the cast."""
    return f"{_PREFIX}before_cast_{column}"


def name_as_read(column: str) -> str:
    """Return the name of the copy of a column without the nulls that rules make."""
    return f"{_PREFIX}as_read_{column}"


def name_output_copy(column: str) -> str:
    """Return the name of the copy of a column that is written beside predictions."""
    return f"{_PREFIX}output_copy_{column}"


def name_window_values(number: int) -> str:
    """Return the name of a column with the finite numbers that windows take from another."""
    return f"{_PREFIX}window_values_{number}"


def name_mask(number: int) -> str:
    """Return the name of a column with one bit for each of `rules.CHECKS_PER_MASK` checks."""
    return f"{_PREFIX}violations_{number}"


def name_count(number: int) -> str:
    """Return the name of the column with the number of rows that share a unique rule's key."""
    return f"{_PREFIX}count_{number}"


def name_join_key(number: int) -> str:
    """Return the name of the column with the hash of a join's key."""
    return f"{_JOIN_KEY}{number}"


def list_join_keys(names: Iterable[str]) -> dict[int, str]:
    """Return which of these columns are hashes of joins' keys: position of the join -> column."""
    return {int(n.removeprefix(_JOIN_KEY)): n for n in names if n.startswith(_JOIN_KEY)}


def is_internal(name: str) -> bool:
    """Return whether Headrace added the column."""
    return name.startswith(_PREFIX)


def col(name: str) -> "Column":
    """Return a column by its exact name, dots, spaces and backticks included."""
    import pyspark.sql.functions as F

    return F.col(quote_name(name))


def with_safe_names(frame: "DataFrame") -> "DataFrame":
    """Return the DataFrame with its columns renamed to c0, c1, …, as `mapInArrow` needs them.

    It resolves names as SQL: a dot or a backtick in one would break it.
    """
    return frame.toDF(*(f"c{i}" for i in range(len(frame.columns))))


def quote_name(name: str) -> str:
    """Return the name as SQL quotes it."""
    return f"`{name.replace('`', '``')}`"
