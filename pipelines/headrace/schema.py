"""The column contract between engines: names and logical types, in nobody's dialect.

Every engine boundary (lake to Spark, Spark to Parquet, Parquet to TensorFlow, raw rows to model)
states what it wants as a `Contract` and checks what came with `violations`. Translating an
engine's own types into `ColumnType` is left to the module that uses the engine.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class ColumnType(StrEnum):
    """What a column holds, as far as Headrace needs to know; the values are the recipe's words."""

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


@dataclass(frozen=True)
class Column:
    """One column of a contract."""

    name: str
    types: frozenset[ColumnType]
    """Types that are accepted."""
    why: str = ""
    """Who wants it, in the recipe's words, for example `features.temp (standardize)`."""


Contract = tuple[Column, ...]


def violations(contract: Iterable[Column], found: Mapping[str, ColumnType]) -> list[str]:
    """What is wrong with columns `found` under `contract`, one sentence each; extras are fine.

    >>> wanted = Column("a", frozenset({ColumnType.REAL}), "features.a")
    >>> violations([wanted], {"b": ColumnType.REAL})
    ["column 'a' is missing (wanted by features.a); there are: b"]
    """
    problems = []
    for column in contract:
        why = f" (wanted by {column.why})" if column.why else ""
        got = found.get(column.name)
        if got is None:
            there = ", ".join(sorted(found)) or "none"
            close = [n for n in found if n.lower() == column.name.lower()]
            case = f"; names are case-sensitive, did you mean {close[0]!r}?" if close else ""
            problems.append(f"column {column.name!r} is missing{why}; there are: {there}{case}")
        elif got not in column.types:
            wanted = " or ".join(sorted(t.value for t in column.types))
            problems.append(f"column {column.name!r} has type {got.value}, expected {wanted}{why}")
    return problems
