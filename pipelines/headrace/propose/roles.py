"""Decide the role of every column: the features made of it, or the reason why it is left out.

There is one function per type. How much a column explains of the label is measured elsewhere
(`leaks`).
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
from headrace.propose.names import FeatureNames, split_words
from headrace.propose.yaml_text import describe_value
from headrace.schema import ColumnType
from headrace.transform.calendar import MICROS_PER_DAY

# Share of rows with a value below which a column is left out.
_MIN_PRESENT_SHARE = 0.01
# Different texts, and whole numbers, that get an id each; texts beyond are hashed.
_MAX_VOCABULARY, _MAX_NUMBERS = 1000, 32
# Fewest rows per value, on average, where each value gets a weight of its own.
_ROWS_PER_VALUE = 2
# Sampled rows that a value of a vocabulary needs, so that its weights can be learnt: one per 1,000
# sampled rows, and at most this many.
_MAX_MIN_COUNT = 10
_ID_NAME_PATTERN = re.compile(
    r"(?i)(^|_|\b)(id|ids|key|uuid|guid|code|zip|zipcode|postcode|plz)$|[a-z]I[dD]$"
)
# A number of something may be a quantity as well (atomic number), so these are ids of unique rows
# alone; an index (body mass index) only where it is called nothing else.
_NUMBER_NAME_PATTERN = re.compile(
    r"(?i)(^|_|\b)(no|nr|num|number)$|^(row[_ ]?)?(index|idx)$|^unnamed: \d+$"
    r"|^row_?(names?|num|id)$|^__index_level_\d+__$"
)
# Share of the numbers from the least to the greatest that occur, where a column numbers the rows.
_MIN_NUMBERED_SHARE = 0.95
_CALENDAR_WORDS = frozenset({
    "year", "month", "day", "hour", "minute", "quarter", "week", "date",
})  # fmt: skip


@dataclass(frozen=True)
class RecipeEntry:
    """An entry of `features` or `derive`."""

    name: str
    settings: Mapping[str, Any]
    reason: str = ""


@dataclass(frozen=True)
class Role:
    """The features that are made of a column, or the reason why there are none.

    Attributes:
        column: its name.
        features, derive: entries of the recipe; none where it is left out.
        exclusion_reason: why it is left out, or some of what could be derived of it.
    """

    column: str
    features: tuple[RecipeEntry, ...] = ()
    derive: tuple[RecipeEntry, ...] = ()
    exclusion_reason: str = ""

    def remove_features(self, names: Collection[str], reason: str) -> "Role":
        """Return the role without some of the features; others derived of the column stay."""
        features = tuple(entry for entry in self.features if entry.name not in names)
        derive = tuple(entry for entry in self.derive if entry.name not in names)
        return Role(self.column, features, derive, reason)


def assign_role(
    column: Column, names: FeatureNames, table_rows: int, *, splits_rows: bool = False
) -> Role:
    """Return the features of a column, or why it is left out.

    Args:
        column: the sampled column.
        names: gives the features their names.
        table_rows: the number of rows of the whole table.
        splits_rows: whether the column is a time by which rows are split.
    """
    exclusion_reason = _find_exclusion_reason(column, table_rows)
    if exclusion_reason:
        return Role(column.name, exclusion_reason=exclusion_reason)
    if column.type is ColumnType.TIMESTAMP:
        return _propose_time_features(column, names, splits_rows=splits_rows)
    if column.type is ColumnType.BOOLEAN:
        reason = _mention_nulls(column, "true or false")
        return _build_role(column, names, {"kind": "vocabulary"}, reason)
    if column.type is ColumnType.STRING:
        return _propose_text_feature(column, names)
    if column.type.value.startswith("list"):
        return _propose_list_feature(column, names)
    return _propose_number_feature(column, names)


def propose_hash(column: Column, names: FeatureNames, reason: str) -> Role:
    """Propose ids by hash, for texts and whole numbers of too many values."""
    buckets = 2 ** math.ceil(math.log2(max(2, min(2 * column.distinct_count, 65_536))))
    return _build_role(column, names, {"kind": "hash", "buckets": buckets}, reason)


def is_id(column: Column) -> bool:
    """Return whether the column's name says that its values are ids, keys or codes."""
    return bool(_ID_NAME_PATTERN.search(column.name))


def is_code(column: Column) -> bool:
    """Return whether its name says so of a column whose values are all different."""
    return is_id(column) or bool(_NUMBER_NAME_PATTERN.search(column.name))


def is_calendar(column: Column) -> bool:
    """Return whether a column has years, months or other parts of a date as whole numbers."""
    words = split_words(column.name)
    return column.type is ColumnType.INTEGER and bool(words) and words[-1] in _CALENDAR_WORDS


def is_row_number(column: Column, table_rows: int) -> bool:
    """Return whether the column numbers the rows, from 0, 1 or another number."""
    if column.type not in (ColumnType.INTEGER, ColumnType.REAL) or not column.is_unique:
        return False
    low, high = column.limits
    if column.type is ColumnType.REAL and not np.all(column.numbers == np.floor(column.numbers)):
        return False
    if low in (0, 1):
        return high - low + 1 <= 1.05 * max(table_rows, column.rows)
    is_dense = column.rows >= _MIN_NUMBERED_SHARE * (high - low + 1)
    return column.rows >= 100 and is_dense and not is_calendar(column)


def _find_exclusion_reason(column: Column, table_rows: int) -> str:
    rows = f"{column.rows:,} sampled rows"
    if not column.present_count:
        return f"null in all {rows}"
    if column.type.value.startswith("list"):
        return ""
    if column.distinct_count == 1:
        value = describe_value(column.value_counts[0][0])
        with_null = f", or null in {column.null_count:,}" if column.null_count else ""
        return f"{value} in all {rows}{with_null}"
    if column.present_count < max(2, _MIN_PRESENT_SHARE * column.rows):
        return f"null in {column.null_count:,} of {rows}"
    if column.foreign_format:
        return f"texts that do not cast: {column.foreign_format}"
    if is_row_number(column, table_rows):
        return "numbers the rows"
    is_nearly_unique = column.distinct_count >= 0.99 * column.present_count
    if is_nearly_unique and (
        (column.type is ColumnType.STRING and _compute_mean_words(column) < 2)
        or (column.type is ColumnType.INTEGER and is_code(column))
    ):
        return (
            f"a key: {column.distinct_count:,} different values in {column.present_count:,} "
            "sampled rows"
        )
    return ""


def _build_role(
    column: Column, names: FeatureNames, settings: Mapping[str, Any], reason: str
) -> Role:
    name = names.name_feature(column.name)
    entry_settings = dict(settings)
    if name != column.name:
        kind = entry_settings.pop("kind")
        entry_settings = {"kind": kind, "column": column.name, **entry_settings}
    return Role(column.name, (RecipeEntry(name, entry_settings, reason),))


def _mention_nulls(column: Column, reason: str) -> str:
    if not column.null_count:
        return reason
    return f"{reason}; {column.null_count:,} of {column.rows:,} sampled values are null"


def _propose_text_feature(column: Column, names: FeatureNames) -> Role:
    words = _compute_mean_words(column)
    has_many_values = (
        column.distinct_count > _MAX_VOCABULARY
        or column.distinct_count * _ROWS_PER_VALUE > column.present_count
    )
    if words >= 2 and has_many_values:
        lengths = pc.list_value_length(pc.utf8_split_whitespace(column.present_values)).to_numpy()
        length = int(min(200, max(1, math.ceil(np.quantile(lengths, 0.95)))))
        settings = {"kind": "text", "length": length, "max_size": 20_000}
        if column.present_count >= 1000:
            settings["min_count"] = 2
        reason = _mention_nulls(column, f"{words:.1f} words per text")
        return _build_role(column, names, settings, reason)
    reason = _mention_nulls(column, f"{column.distinct_count:,} different texts in the sample")
    if has_many_values:
        return propose_hash(column, names, reason)
    return _propose_vocabulary(column, names, reason)


def _propose_vocabulary(column: Column, names: FeatureNames, reason: str) -> Role:
    settings: dict[str, Any] = {"kind": "vocabulary"}
    min_count = min(_MAX_MIN_COUNT, column.rows // 1000)
    rare_values = sum(1 for _, count in column.value_counts if count < min_count)
    if rare_values:
        settings["min_count"] = min_count
        reason = f"{reason}; {rare_values:,} occur less than {min_count} times"
    return _build_role(column, names, settings, reason)


def _compute_mean_words(column: Column) -> float:
    """Return the mean number of words per text."""
    lengths = pc.list_value_length(pc.utf8_split_whitespace(column.present_values))
    return float(pc.mean(lengths).as_py() or 0)


def _propose_number_feature(column: Column, names: FeatureNames) -> Role:
    low, high = column.limits
    if is_clock_time(column):
        return _propose_clock_features(column, names)
    is_integer = column.type is ColumnType.INTEGER
    if is_integer and column.distinct_count <= min(_MAX_NUMBERS, column.present_count // 20):
        reason = f"{column.distinct_count:,} different whole numbers, {low:g} to {high:g}"
        return _propose_vocabulary(column, names, _mention_nulls(column, reason))
    if is_integer and is_id(column):
        reason = f"{column.distinct_count:,} different numbers that are ids by their column's name"
        return propose_hash(column, names, reason)
    settings, shape = _choose_scaling(column)
    if column.null_count >= 0.01 * column.rows:
        settings["indicator"] = True
    reason = _mention_nulls(column, f"{low:g} to {high:g}{shape}")
    return _build_role(column, names, settings, reason)


def _choose_scaling(column: Column) -> tuple[dict[str, Any], str]:
    """Choose the feature's settings, with the reason where they are not the usual ones."""
    low, first, lower, median, upper, last, high = column.compute_quantiles(
        0, 0.001, 0.25, 0.5, 0.75, 0.999, 1
    )
    spread = upper - lower
    has_outliers = spread > 0 and max(last - upper, lower - first) > 10 * spread
    is_skewed = has_outliers or column.compute_quantiles(0.99)[0] > 10 * median
    if is_skewed and low >= 0 and high > 20 and column.distinct_count > _MAX_NUMBERS:
        return {"kind": "standardize", "log1p": True}, f", median {median:g}: skewed"
    if has_outliers:
        return (
            {"kind": "robust", "clip": {"quantiles": [0.001, 0.999]}},
            f", half of them {lower:g} to {upper:g}: outliers",
        )
    return {"kind": "standardize"}, ""


def is_clock_time(column: Column) -> bool:
    """Return whether whole numbers are clock times such as 1759: many of them, none with more than
    59 minutes."""
    if column.type is not ColumnType.INTEGER or column.distinct_count < 100:
        return False
    numbers = column.numbers[~column.missing_mask]
    low, high = column.limits
    return low >= 0 and 1000 < high <= 2400 and bool(np.all(numbers % 100 < 60))


def _propose_clock_features(column: Column, names: FeatureNames) -> Role:
    hour = names.name_feature(column.name, "hour")
    minute = names.name_feature(column.name, "minute")
    reason = _mention_nulls(column, "a clock time such as 1759 for 17:59")
    return Role(
        column.name,
        (
            RecipeEntry(hour, {"kind": "vocabulary"}, reason),
            RecipeEntry(minute, {"kind": "standardize"}, "minutes since midnight"),
        ),
        (
            RecipeEntry(hour, {"kind": "hour_of_day", "columns": [column.name]}),
            RecipeEntry(minute, {"kind": "minute_of_day", "columns": [column.name]}),
        ),
    )


def _propose_time_features(column: Column, names: FeatureNames, *, splits_rows: bool) -> Role:
    """Propose the parts of times that recur often in the sample, and the time elapsed.

    The time elapsed is left out where rows are split by it: it tells train rows from test rows.
    """
    low, high = column.limits
    days = (high - low) / MICROS_PER_DAY
    numbers = column.numbers[~column.missing_mask]
    parts: list[tuple[str, dict[str, Any]]] = []
    if np.any(numbers % MICROS_PER_DAY != 0):
        parts.append(("hour", {"kind": "cyclic", "period": 24}))
    if days >= 14:
        parts.append(("day_of_week", {"kind": "vocabulary"}))
    if days >= 2 * 365:
        parts.append(("month", {"kind": "cyclic", "period": 12}))
    features, derive = [], []
    if not splits_rows:
        name = names.name_feature(column.name, "seconds")
        origin = f"{datetime.fromtimestamp(low / 10**6, UTC):%Y-%m-%d}"
        reason = f"of {column.name}, since {origin}"
        features.append(RecipeEntry(name, {"kind": "standardize"}, reason))
        settings = {"kind": "seconds_since", "columns": [column.name], "origin": origin}
        derive.append(RecipeEntry(name, settings))
    elif not parts:
        reason = "rows are split by it, and it has no hours and spans less than two weeks"
        return Role(column.name, exclusion_reason=reason)
    for part, settings in parts:
        name = names.name_feature(column.name, part)
        features.append(RecipeEntry(name, settings, f"of {column.name}, in UTC"))
        derivation = {"kind": "time_part", "part": part, "columns": [column.name]}
        derive.append(RecipeEntry(name, derivation))
    return Role(column.name, tuple(features), tuple(derive))


def _propose_list_feature(column: Column, names: FeatureNames) -> Role:
    lengths = pc.list_value_length(column.present_values).to_numpy()
    length = int(min(200, math.ceil(np.quantile(lengths, 0.95)))) if len(lengths) else 0
    if not length:
        return Role(column.name, exclusion_reason="lists that are empty")
    reason = _mention_nulls(column, f"lists of {lengths.min()} to {lengths.max()} elements")
    if column.type is ColumnType.REALS:
        return _build_role(column, names, {"kind": "series", "length": length}, reason)
    elements = len(column.present_values.flatten().unique())
    settings: dict[str, Any] = {"kind": "multi_valued", "length": length}
    if elements > 10 * _MAX_VOCABULARY:
        settings["buckets"] = 16_384
    return _build_role(column, names, settings, f"{reason}, {elements:,} different ones")
