"""Propose the cleaning of a table: the key that drops duplicates, and rules for wrong values.

A rule is proposed where the sample supports it and where a merely unusual row does not break it:
limits that hold everywhere (no latitude of 95), sentinels for missing values (-999), missing keys,
and labels far beyond all others. Rows that break a rule go to quarantine; sentinels become null.
The build goes on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.propose.columns import Column
from headrace.propose.keys import RowKey
from headrace.propose.label import LabelProposal
from headrace.propose.roles import is_clock_time
from headrace.propose.sample import Sample
from headrace.schema import ColumnType

_NUMBER_TYPES = (ColumnType.INTEGER, ColumnType.REAL)
# Limits that hold everywhere, for columns of these names whose sampled values lie within them.
_LIMITS_BY_NAME = (
    (re.compile(r"(?i)^(.*_)?lat(itude)?$"), -90, 90, "degrees"),
    (re.compile(r"(?i)^(.*_)?(lon|lng|long|longitude)$"), -180, 180, "degrees"),
)
_SENTINEL_PATTERN = re.compile(r"-?9{2,}(\.0)?|-1(\.0)?")
# Share of a column's values that a sentinel has at least.
_MIN_SENTINEL_SHARE = 0.002
# A label is refused where it lies this many times the sample's range outside of it.
_LABEL_MARGIN = 10


@dataclass(frozen=True)
class RuleProposal:
    """A rule of `clean.rules`, and the reason for it."""

    rule: Mapping[str, Any]
    reason: str


@dataclass(frozen=True)
class CleanProposal:
    """The proposed cleaning of a table.

    Attributes:
        dedup_key: columns of the key; empty where no key certainly identifies rows.
        dedup_reason: where the key comes from.
        rules: the rules, in the order in which they apply.
    """

    dedup_key: tuple[str, ...]
    dedup_reason: str
    rules: tuple[RuleProposal, ...]


def propose_cleaning(sample: Sample, label: LabelProposal | None, key: RowKey) -> CleanProposal:
    """Propose the key that drops duplicates, and the rules.

    Args:
        sample: the sampled rows of the table.
        label: what is predicted, if it is known.
        key: the columns that identify rows.
    """
    unique = bool(key.columns)
    scope = f"all {sample.rows:,} {'rows' if sample.is_whole else 'sampled rows'}"
    reason = f"unique in {scope}; of rows with the same key one is kept"
    if unique and not key.is_certain:
        reason = f"unique in {scope}; if it is unique in the whole table, it can drop duplicates:"
    dedup_key = key.columns if unique else ()
    rules = []
    if unique and key.is_certain:
        rule = {"kind": "not_null", "columns": list(key.columns)}
        rules.append(RuleProposal(rule, f"the key is never null in {scope}"))
    for column in sample.columns.values():
        if column.type in _NUMBER_TYPES and column.distinct_count > 1:
            rules += _propose_number_rules(column, label)
    return CleanProposal(dedup_key, reason, tuple(rules))


def _propose_number_rules(column: Column, label: LabelProposal | None) -> list[RuleProposal]:
    low, high = column.limits
    for name_pattern, least, most, unit in _LIMITS_BY_NAME:
        if name_pattern.fullmatch(column.name) and least <= low and high <= most:
            rule = {"kind": "range", "column": column.name, "min": least, "max": most}
            return [RuleProposal(rule, f"{unit}; the sample has {low:g} to {high:g}")]
    if is_clock_time(column):
        rule = {"kind": "range", "column": column.name, "min": 0, "max": 2400}
        return [RuleProposal(rule, f"a clock time; the sample has {low:g} to {high:g}")]
    is_label = label is not None and label.column == column.name
    sentinel_rule = _propose_sentinel_rule(column, is_label=is_label)
    if sentinel_rule:
        return [sentinel_rule]
    regressed = is_label and label is not None and label.kind == "regression"
    return [_propose_label_range(column)] if regressed else []


def _propose_sentinel_rule(column: Column, *, is_label: bool) -> RuleProposal | None:
    """Propose a range without the sentinel, a frequent number far from all others such as -999.

    Returns:
        The rule; None where the column has no sentinel.
    """
    values, counts = np.unique(column.numbers[~column.missing_mask], return_counts=True)
    if len(values) < 4:
        return None
    for side, last, next_, others in (("min", 0, 1, values[1:]), ("max", -1, -2, values[:-1])):
        value, limit, count = float(values[last]), float(values[next_]), int(counts[last])
        is_far = abs(value - limit) > np.ptp(others)
        is_frequent = count >= _MIN_SENTINEL_SHARE * column.present_count
        if not (is_far and is_frequent and _SENTINEL_PATTERN.fullmatch(f"{value:.0f}")):
            continue
        middle = round((value + limit) / 2)
        rule: dict[str, Any] = {"kind": "range", "column": column.name, side: middle}
        if not is_label:  # a row without a label is of no use
            rule["on_violation"] = None  # renders as null: the value becomes null, the row stays
        reason = (
            f"{value:g} occurs {count:,} times in the sample, and the other numbers end at "
            f"{limit:g}: a sentinel for missing values"
        )
        return RuleProposal(rule, reason)
    return None


def _propose_label_range(column: Column) -> RuleProposal:
    low, high = column.limits
    margin = _LABEL_MARGIN * (high - low)
    least, most = _round_to_two_digits(low - margin), _round_to_two_digits(high + margin)
    rule = {"kind": "range", "column": column.name, "min": least, "max": most}
    reason = (
        f"the sample has {low:g} to {high:g}; a single label {_LABEL_MARGIN} ranges outside would "
        "dominate the loss"
    )
    return RuleProposal(rule, reason)


def _round_to_two_digits(number: float) -> float:
    """Return the number with two significant digits, as an int where it is a whole one."""
    rounded = float(f"{number:.2g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded
