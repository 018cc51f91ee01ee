"""Rules that the sample supports and that a row which is merely unusual does not break.

Few: what cannot be (a latitude of 95), numbers that stand for nothing (-999), a key that is
missing, a label far beyond all others. What breaks them goes to quarantine and stops nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.propose.columns import Column
from headrace.propose.keys import RowKey
from headrace.propose.label import LabelProposal
from headrace.propose.roles import is_clock
from headrace.propose.sample import Sample
from headrace.schema import ColumnType

_NUMBERS = (ColumnType.INTEGER, ColumnType.REAL)
# By name, where the sample agrees: limits that hold everywhere.
_KNOWN = (
    (re.compile(r"(?i)^(.*_)?lat(itude)?$"), -90, 90, "degrees"),
    (re.compile(r"(?i)^(.*_)?(lon|lng|long|longitude)$"), -180, 180, "degrees"),
)
_SENTINEL = re.compile(r"-?9{2,}(\.0)?|-1(\.0)?")
# Share of values that a sentinel has at least.
_SENTINEL_SHARE = 0.002
# Spreads of the sample beyond it, until a label is no label.
_FAR = 10


@dataclass(frozen=True)
class RuleProposal:
    """A rule of `clean.rules`, and why."""

    rule: Mapping[str, Any]
    why: str


@dataclass(frozen=True)
class CleanProposal:
    """What is cleaned.

    Attributes:
        dedup: columns of the key; empty where none is sure to tell rows apart.
        dedup_why: where the key comes from.
        rules: in order.
    """

    dedup: tuple[str, ...]
    dedup_why: str
    rules: tuple[RuleProposal, ...]


def propose_cleaning(sample: Sample, label: LabelProposal | None, key: RowKey) -> CleanProposal:
    """The rules.

    Args:
        sample: the table.
        label: what is predicted, if it is known.
        key: tells rows apart.
    """
    unique = key.distinct == sample.rows
    where = f"all {sample.rows:,} {'rows' if sample.whole else 'sampled rows'}"
    why = f"tells {where} apart; where a row comes twice, one of both is left out"
    if unique and not key.certain:
        why = f"tells {where} apart; if it does so for all rows, doubled ones can be left out:"
    dedup = key.columns if unique else ()
    rules = []
    if unique and key.certain:
        rule = {"kind": "not_null", "columns": list(key.columns)}
        rules.append(RuleProposal(rule, f"the key is never null in {where}"))
    for column in sample.columns.values():
        if column.type in _NUMBERS and column.distinct > 1:
            rules += _of_number(column, label)
    return CleanProposal(dedup, why, tuple(rules))


def _of_number(column: Column, label: LabelProposal | None) -> list[RuleProposal]:
    low, high = column.limits
    for name, least, most, unit in _KNOWN:
        if name.fullmatch(column.name) and least <= low and high <= most:
            rule = {"kind": "range", "column": column.name, "min": least, "max": most}
            return [RuleProposal(rule, f"{unit}; the sample has {low:g} to {high:g}")]
    if is_clock(column):
        rule = {"kind": "range", "column": column.name, "min": 0, "max": 2400}
        return [RuleProposal(rule, f"a clock time; the sample has {low:g} to {high:g}")]
    is_label = label is not None and label.column == column.name
    sentinel = _sentinel(column, is_label=is_label)
    if sentinel:
        return [sentinel]
    regressed = is_label and label is not None and label.kind == "regression"
    return [_of_label(column)] if regressed else []


def _sentinel(column: Column, *, is_label: bool) -> RuleProposal | None:
    """A number that is far from all others, comes often, and looks like no measurement."""
    values, counts = np.unique(column.numbers[~column.missing], return_counts=True)
    if len(values) < 4:
        return None
    for side, last, next_, others in (("min", 0, 1, values[1:]), ("max", -1, -2, values[:-1])):
        value, limit, count = float(values[last]), float(values[next_]), int(counts[last])
        far = abs(value - limit) > np.ptp(others)
        often = count >= _SENTINEL_SHARE * column.there
        if not (far and often and _SENTINEL.fullmatch(f"{value:.0f}")):
            continue
        middle = round((value + limit) / 2)
        rule: dict[str, Any] = {"kind": "range", "column": column.name, side: middle}
        if not is_label:  # a row without a label is of no use
            rule["on_violation"] = None  # as YAML has the word null
        why = (
            f"{value:g} comes {count:,} times in the sample, and other numbers end at {limit:g}: "
            "it stands for nothing"
        )
        return RuleProposal(rule, why)
    return None


def _of_label(column: Column) -> RuleProposal:
    low, high = column.limits
    margin = _FAR * (high - low)
    least, most = _rounded(low - margin), _rounded(high + margin)
    rule = {"kind": "range", "column": column.name, "min": least, "max": most}
    why = (
        f"the sample has {low:g} to {high:g}; one label {_FAR} times as far out would outweigh the "
        "others"
    )
    return RuleProposal(rule, why)


def _rounded(number: float) -> float:
    """To two digits, and a whole number where it is one."""
    digits = float(f"{number:.2g}")
    return int(digits) if digits.is_integer() and abs(digits) < 2**53 else digits
