"""What becomes of every column: which features, derived how, and why; or why none.

One function a type. What a column says of the label is not looked at here.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow.compute as pc

from headrace.propose.columns import Column
from headrace.propose.names import Names
from headrace.propose.yaml_text import shown
from headrace.schema import ColumnType

# Share of rows with a value below which a column is left out.
_LEAST_THERE = 0.01
# Different texts, and whole numbers, that get an id each; texts beyond are hashed.
_MOST_WORDS, _MOST_NUMBERS = 1000, 32
# Rows a value has at least on average where values are told apart.
_ROWS_A_VALUE = 2
# Sampled rows that a value of a vocabulary has, so that its weights can be learnt: a ten-thousandth
# of them, and ten at most.
_MOST_MIN_COUNT = 10
_CODE_NAME = re.compile(
    r"(?i)(^|_|\b)(id|ids|key|uuid|guid|code|zip|zipcode|postcode|plz|no|nr|num|number|index|idx)$"
    r"|[a-z]I[dD]$"
)
_DAY = 86_400 * 10**6  # microseconds


@dataclass(frozen=True)
class Line:
    """An entry of `features` or `derive`."""

    name: str
    settings: Mapping[str, Any]
    why: str = ""


@dataclass(frozen=True)
class Role:
    """What becomes of a column.

    Attributes:
        column: its name.
        features, derive: entries of the recipe; none where it is left out.
        left_out: why it is, or why some of what could be derived of it is.
    """

    column: str
    features: tuple[Line, ...] = ()
    derive: tuple[Line, ...] = ()
    left_out: str = ""

    def without(self, names: Collection[str], why: str) -> "Role":
        """Without some of the features; others that are derived of the same column stay."""
        features = tuple(line for line in self.features if line.name not in names)
        derive = tuple(line for line in self.derive if line.name not in names)
        return Role(self.column, features, derive, why)


def role_of(column: Column, names: Names, table_rows: int, *, splits: bool = False) -> Role:
    """Features of a column.

    Args:
        column: of the sample.
        names: gives the features theirs.
        table_rows: of the whole table.
        splits: whether rows are split by it, if it is a time.
    """
    why_not = _useless(column, table_rows)
    if why_not:
        return Role(column.name, left_out=why_not)
    if column.type is ColumnType.TIMESTAMP:
        return _moments(column, names, splits=splits)
    if column.type is ColumnType.BOOLEAN:
        return _one(column, names, {"kind": "vocabulary"}, _with_nulls(column, "true or false"))
    if column.type is ColumnType.STRING:
        return _texts(column, names)
    if column.type.value.startswith("list"):
        return _lists(column, names)
    return _numbers(column, names)


def hashed(column: Column, names: Names, why: str) -> Role:
    """Ids by hash, for texts and whole numbers of too many values."""
    buckets = 2 ** math.ceil(math.log2(max(2, min(2 * column.distinct, 65_536))))
    return _one(column, names, {"kind": "hash", "buckets": buckets}, why)


def is_code(column: Column) -> bool:
    """Whether the column's name says that its numbers are names."""
    return bool(_CODE_NAME.search(column.name))


def counted_from_one(column: Column, table_rows: int) -> bool:
    """Whether whole numbers are those of rows, one after the other."""
    if column.type is not ColumnType.INTEGER or not column.unique:
        return False
    low, high = column.limits
    return low in (0, 1) and high - low + 1 <= 1.05 * max(table_rows, column.rows)


def _useless(column: Column, table_rows: int) -> str:
    rows = f"{column.rows:,} sampled rows"
    if not column.there:
        return f"null in all {rows}"
    if column.type.value.startswith("list"):
        return ""
    if column.distinct == 1:
        value = shown(column.counts[0][0])
        with_null = f", or null in {column.nulls:,}" if column.nulls else ""
        return f"{value} in all {rows}{with_null}"
    if column.there < max(2, _LEAST_THERE * column.rows):
        return f"null in {column.nulls:,} of {rows}"
    if column.foreign:
        return f"texts that do not cast: {column.foreign}"
    if counted_from_one(column, table_rows):
        return "counts the rows"
    distinct = column.distinct >= 0.99 * column.there
    if distinct and (
        (column.type is ColumnType.STRING and _words(column) < 2)
        or (column.type is ColumnType.INTEGER and is_code(column))
    ):
        return f"a key: {column.distinct:,} different values in {column.there:,} sampled rows"
    return ""


def _one(column: Column, names: Names, settings: Mapping[str, Any], why: str) -> Role:
    name = names.feature(column.name)
    own = dict(settings)
    if name != column.name:
        own = {"kind": own.pop("kind"), "column": column.name, **own}
    return Role(column.name, (Line(name, own, why),))


def _with_nulls(column: Column, why: str) -> str:
    if not column.nulls:
        return why
    return f"{why}; {column.nulls:,} of {column.rows:,} sampled values are null"


def _texts(column: Column, names: Names) -> Role:
    words = _words(column)
    many = column.distinct > _MOST_WORDS or column.distinct * _ROWS_A_VALUE > column.there
    if words >= 2 and many:
        lengths = pc.list_value_length(pc.utf8_split_whitespace(column.present)).to_numpy()
        length = int(min(200, max(1, math.ceil(np.quantile(lengths, 0.95)))))
        settings = {"kind": "text", "length": length, "max_size": 20_000}
        if column.there >= 1000:
            settings["min_count"] = 2
        return _one(column, names, settings, _with_nulls(column, f"{words:.1f} words a text"))
    why = _with_nulls(column, f"{column.distinct:,} different texts in the sample")
    if many:
        return hashed(column, names, why)
    return _vocabulary(column, names, why)


def _vocabulary(column: Column, names: Names, why: str) -> Role:
    settings: dict[str, Any] = {"kind": "vocabulary"}
    least = min(_MOST_MIN_COUNT, column.rows // 1000)
    rare = sum(1 for _, count in column.counts if count < least)
    if rare:
        settings["min_count"] = least
        why = f"{why}; {rare:,} come less than {least} times"
    return _one(column, names, settings, why)


def _words(column: Column) -> float:
    """Of a text on average."""
    lengths = pc.list_value_length(pc.utf8_split_whitespace(column.present))
    return float(pc.mean(lengths).as_py() or 0)


def _numbers(column: Column, names: Names) -> Role:
    low, high = column.limits
    if is_clock(column):
        return _clock(column, names)
    whole = column.type is ColumnType.INTEGER
    if whole and column.distinct <= min(_MOST_NUMBERS, column.there // 20):
        why = f"{column.distinct:,} different whole numbers, {low:g} to {high:g}"
        return _vocabulary(column, names, _with_nulls(column, why))
    if whole and is_code(column):
        return hashed(column, names, f"{column.distinct:,} different numbers that are names")
    settings, shape = _scaling(column)
    if column.nulls >= 0.01 * column.rows:
        settings["indicator"] = True
    return _one(column, names, settings, _with_nulls(column, f"{low:g} to {high:g}{shape}"))


def _scaling(column: Column) -> tuple[dict[str, Any], str]:
    """The feature's kind and, where it is not the usual one, why."""
    low, first, lower, median, upper, last, high = column.quantiles(
        0, 0.001, 0.25, 0.5, 0.75, 0.999, 1
    )
    spread = upper - lower
    outliers = spread > 0 and max(last - upper, lower - first) > 10 * spread
    skewed = outliers or column.quantiles(0.99)[0] > 10 * median
    if skewed and low >= 0 and high > 20 and column.distinct > _MOST_NUMBERS:
        return {"kind": "standardize", "log1p": True}, f", median {median:g}: skewed"
    if outliers:
        return (
            {"kind": "robust", "clip": {"quantiles": [0.001, 0.999]}},
            f", half of them {lower:g} to {upper:g}: outliers",
        )
    return {"kind": "standardize"}, ""


def is_clock(column: Column) -> bool:
    """Whether whole numbers are clock times such as 1759: none of many has more than 59 minutes."""
    if column.type is not ColumnType.INTEGER or column.distinct < 100:
        return False
    numbers = column.numbers[~column.missing]
    low, high = column.limits
    return low >= 0 and 1000 < high <= 2400 and bool(np.all(numbers % 100 < 60))


def _clock(column: Column, names: Names) -> Role:
    hour, minute = names.feature(column.name, "hour"), names.feature(column.name, "minute")
    why = _with_nulls(column, "a clock time such as 1759 for 17:59")
    return Role(
        column.name,
        (
            Line(hour, {"kind": "vocabulary"}, why),
            Line(minute, {"kind": "standardize"}, "minutes since midnight"),
        ),
        (
            Line(hour, {"kind": "hour_of_day", "columns": [column.name]}),
            Line(minute, {"kind": "minute_of_day", "columns": [column.name]}),
        ),
    )


def _moments(column: Column, names: Names, *, splits: bool) -> Role:
    """Parts of times, those that go round many times in the sample; and how long ago it was, where
    that is not what tells train rows from test rows."""
    low, high = column.limits
    days = (high - low) / _DAY
    numbers = column.numbers[~column.missing]
    parts: list[tuple[str, dict[str, Any]]] = []
    if np.any(numbers % _DAY != 0):
        parts.append(("hour", {"kind": "cyclic", "period": 24}))
    if days >= 14:
        parts.append(("day_of_week", {"kind": "vocabulary"}))
    if days >= 2 * 365:
        parts.append(("month", {"kind": "cyclic", "period": 12}))
    features, derive = [], []
    if not splits:
        name = names.feature(column.name, "seconds")
        origin = f"{datetime.fromtimestamp(low / 10**6, UTC):%Y-%m-%d}"
        features.append(Line(name, {"kind": "standardize"}, f"of {column.name}, since {origin}"))
        settings = {"kind": "seconds_since", "columns": [column.name], "origin": origin}
        derive.append(Line(name, settings))
    elif not parts:
        return Role(column.name, left_out="rows are split by it; no hours, and less than two weeks")
    for part, settings in parts:
        name = names.feature(column.name, part)
        features.append(Line(name, settings, f"of {column.name}, in UTC"))
        derive.append(Line(name, {"kind": "time_part", "part": part, "columns": [column.name]}))
    return Role(column.name, tuple(features), tuple(derive))


def _lists(column: Column, names: Names) -> Role:
    lengths = pc.list_value_length(column.present).to_numpy()
    length = int(min(200, math.ceil(np.quantile(lengths, 0.95)))) if len(lengths) else 0
    if not length:
        return Role(column.name, left_out="lists that are empty")
    why = _with_nulls(column, f"lists of {lengths.min()} to {lengths.max()} elements")
    if column.type is ColumnType.REALS:
        return _one(column, names, {"kind": "series", "length": length}, why)
    elements = len(column.present.flatten().unique())
    settings: dict[str, Any] = {"kind": "multi_valued", "length": length}
    if elements > 10 * _MOST_WORDS:
        settings["buckets"] = 16_384
    return _one(column, names, settings, f"{why}, {elements:,} different ones")
