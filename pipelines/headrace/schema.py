"""Check columns against a contract between engines: names and logical types of no engine's own.

Every engine boundary (lake to Spark, Spark to Parquet, Parquet to TensorFlow, raw rows to model)
states the columns that it needs as `Column`s and checks those that it gets with
`find_violations`. Translating an engine's own types into `ColumnType` is left to the module that
uses the engine.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class ColumnType(StrEnum):
    """The logical type of a column; the values are the words of a recipe."""

    INTEGER = "integer"  # up to 64 bits, signed
    REAL = "real"  # floating point or decimal, used as float64
    STRING = "string"  # UTF-8
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"  # a moment, or a date's midnight in UTC
    BINARY = "binary"
    INTEGERS = "list[integer]"
    REALS = "list[real]"
    STRINGS = "list[string]"
    OTHER = "other"


NUMBERS = frozenset({ColumnType.INTEGER, ColumnType.REAL, ColumnType.BOOLEAN})
"""Types that are read as numbers."""
CATEGORIES = frozenset({ColumnType.INTEGER, ColumnType.STRING, ColumnType.BOOLEAN})
"""Types whose values stand for themselves."""

_SHOWN_NAMES = 60


@dataclass(frozen=True)
class Column:
    """One column of a contract."""

    name: str
    types: frozenset[ColumnType]
    """Accepted types."""
    needed_by: str = ""
    """Key of the recipe that needs it, for example `features.temp (standardize)`."""


def find_violations(contract: Iterable[Column], columns: Mapping[str, ColumnType]) -> list[str]:
    """Find the columns that violate a contract, one sentence each; further columns are allowed.

    >>> column = Column("a", frozenset({ColumnType.REAL}), "features.a")
    >>> find_violations([column], {"b": ColumnType.REAL})
    ["column 'a' is missing (needed by features.a); the columns are: b"]
    """
    problems = []
    for column in contract:
        reason = f" (needed by {column.needed_by})" if column.needed_by else ""
        column_type = columns.get(column.name)
        if column_type is None:
            names = show_names(columns)
            hint = _suggest_name(column.name, columns)
            problems.append(
                f"column {column.name!r} is missing{reason}; the columns are: {names}{hint}"
            )
        elif column_type not in column.types:
            expected = " or ".join(sorted(accepted.value for accepted in column.types))
            problems.append(
                f"column {column.name!r} has type {column_type.value}, expected {expected}{reason}"
            )
    return problems


def show_names(names: Iterable[str]) -> str:
    """Return names in their order, of a wide table the first ones, and how many more there are."""
    listed = sorted(names)
    more = len(listed) - _SHOWN_NAMES
    shown = ", ".join(listed[:_SHOWN_NAMES]) or "none"
    return shown + (f" and {more:,} more" if more > 0 else "")


def _suggest_name(name: str, known: Iterable[str]) -> str:
    """Return a remark on which of the known names was probably meant; "" where none is near."""
    names = sorted(known)
    similar = [other for other in names if other.lower() == name.lower()]
    if similar:
        return f"; names are case-sensitive, did you mean {similar[0]!r}?"
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    return f"; did you mean {close[0]!r}?" if close else ""
