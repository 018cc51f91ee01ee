"""How rows are dealt to train, validation and test: by time, by what belongs together, or by key.

By time where rows are events: what is to come is judged by what was. Else rows that belong
together share a split, so that none of them tells of another; else every row goes by its own key.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.errors import LakeError
from headrace.lake.data_file import SPLITS
from headrace.propose.columns import Column
from headrace.propose.keys import RowKey, calendar_key, group_column
from headrace.propose.label import LabelProposal
from headrace.propose.sample import Sample
from headrace.propose.split_point import split_points
from headrace.redaction import redact_text
from headrace.schema import ColumnType

# Times a table of events has at least, and share of rows that may be without.
_TIMES, _NULL_SHARE = 20, 0.01
_EVENT_NAME = re.compile(r"(?i)(time|date|day|hour|_at|ts|timestamp|when|created|occurred)")
_OTHER_NAME = re.compile(r"(?i)(birth|dob|expir|valid|until|updated|modified|due|founded|built)")
_DAY, _SECOND = 86_400 * 10**6, 10**6  # microseconds
# Table rows up to which a seed is looked for that leaves no split without rows, and how many are.
_FEW_ROWS, _SEEDS = 1_000, 100


@dataclass(frozen=True)
class SplitProposal:
    """A split.

    Attributes:
        section: the recipe's.
        why: for people.
        time: the column, where it is by time.
        later: bool (rows,), the rows that are not for training, where it is by time.
    """

    section: Mapping[str, Any]
    why: tuple[str, ...]
    time: str | None = None
    later: np.ndarray | None = None

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(self.section.get("key", ()))


def propose_split(sample: Sample, label: LabelProposal | None, key: RowKey) -> SplitProposal:
    """The split.

    Args:
        sample: the table.
        label: what is predicted, if it is known.
        key: tells rows apart.

    Raises:
        LakeError: rows are too few to be split.
    """
    others = {n: c for n, c in sample.columns.items() if label is None or n != label.column}
    for column in _event_times(list(others.values())):
        found = _by_time(column, label)
        if found:
            return found
    calendar = calendar_key(others)
    if calendar:
        why = (
            "by calendar day: rows of one day share what happened that day, and a model would know "
            "it from the others",
        )
        return SplitProposal(_by_key(calendar, _fractions(sample.table_rows)), why)
    group = group_column(list(others.values()))
    if group is not None:
        why = (
            f"by {group.name}, which has {group.there / group.distinct:.1f} rows a value in the "
            "sample: rows of one share a split, so that the model is judged on values that it has "
            "not seen",
        )
        return SplitProposal(_by_key((group.name,), _fractions(sample.table_rows)), why)
    return _by_row(sample, label, key)


def _event_times(columns: Sequence[Column]) -> list[Column]:
    """Times when the rows' events may have happened, the likeliest first."""
    found = [
        column
        for column in columns
        if column.type is ColumnType.TIMESTAMP
        and column.nulls <= _NULL_SHARE * column.rows
        and column.distinct >= _TIMES
        and not _OTHER_NAME.search(column.name)
    ]
    return sorted(found, key=lambda c: (not _EVENT_NAME.search(c.name), c.nulls, -c.distinct))


def _by_time(column: Column, label: LabelProposal | None) -> SplitProposal | None:
    """None where a split would lack rows, or labels of more than one kind to train on."""
    with_label = ~label.missing if label else np.ones(column.rows, bool)
    times = column.numbers
    there = with_label & ~column.missing
    if there.sum() < _TIMES:
        return None
    low, high = np.nanquantile(times[there], (0.8, 0.9))
    span = float(np.nanmax(times[there]) - np.nanmin(times[there]))
    for unit in (_DAY, 3_600 * _SECOND, 60 * _SECOND, _SECOND, 1):
        if unit > span / 20:
            continue
        first, second = (int(t // unit * unit) for t in (low, high))
        train, validation = times < first, (times >= first) & (times < second)
        test = times >= second
        shares = [float((part & there).sum() / there.sum()) for part in (train, validation, test)]
        if shares[0] >= 0.6 and min(shares[1:]) >= 0.05 and _has_labels(label, train):
            break
    else:
        return None
    dates = {"column": column.name, "validation_from": _iso(first), "test_from": _iso(second)}
    told = ", ".join(f"{name} {share:.0%}" for name, share in zip(SPLITS, shares, strict=True))
    why: tuple[str, ...] = (
        f"by time: the model is judged on what came after it was trained (of the sample {told})",
        "these dates stay when the table grows, and new rows are test rows: move them on",
    )
    if column.nulls:
        why += (f"{column.nulls:,} of {column.rows:,} sampled rows have no time: filtered",)
    return SplitProposal({"time": dates}, why, column.name, ~train)


def _has_labels(label: LabelProposal | None, train: np.ndarray) -> bool:
    return label is None or len(set(label.codes[train & ~label.missing].tolist())) > 1


def _iso(micros: int) -> str:
    moment = datetime.fromtimestamp(micros // 10**6, UTC).replace(microsecond=micros % 10**6)
    if micros % _DAY == 0:
        return f"{moment:%Y-%m-%d}"
    return moment.replace(tzinfo=None).isoformat()


def _by_row(sample: Sample, label: LabelProposal | None, key: RowKey) -> SplitProposal:
    fractions = _fractions(sample.table_rows)
    names = ", ".join(key.columns)
    if key.distinct == sample.rows:
        why = f"by {names}, which has another value in every one of {sample.rows:,} sampled rows"
    elif not key.distinct:
        why = f"by {names}, of which the different values were not counted"
    else:
        why = (
            f"by {names}, with {key.distinct:,} different values in {sample.rows:,} sampled rows: "
            "rows with the same share a split"
        )
    reasons = [why]
    seed = 1
    if sample.whole and sample.rows <= _FEW_ROWS:
        seed, counted = _fitting_seed(sample, label, key, fractions)
        if counted:
            reasons.append(counted)
    return SplitProposal(_by_key(key.columns, fractions, seed), tuple(reasons))


def _by_key(key: Sequence[str], fractions: Mapping[str, float], seed: int = 1) -> dict[str, Any]:
    return {"key": list(key), "fractions": dict(fractions), "seed": seed}


def _fractions(rows: int) -> dict[str, float]:
    """Of few rows more are for judging: a tenth of them says nothing."""
    if rows < 1000:
        return {"train": 0.6, "validation": 0.2, "test": 0.2}
    return {"train": 0.8, "validation": 0.1, "test": 0.1}


def _fitting_seed(
    sample: Sample, label: LabelProposal | None, key: RowKey, fractions: Mapping[str, float]
) -> tuple[int, str]:
    """A seed that leaves rows to every split, and of every label to train; and what it leaves.

    1 where keys are no texts or whole numbers, of which Spark's texts are not known here.

    Raises:
        LakeError: there is none, as rows are too few.
    """
    columns = [sample.columns[name] for name in key.columns]
    if any(c.type not in (ColumnType.STRING, ColumnType.INTEGER) for c in columns):
        return 1, ""
    codes = label.codes if label else np.zeros(sample.rows, np.int64)
    labelled = codes >= 0
    values = zip(*(c.values.filter(pa.array(labelled)).to_pylist() for c in columns), strict=True)
    texts = [tuple(None if value is None else str(value) for value in row) for row in values]
    codes, kinds = codes[labelled], len(set(codes[labelled].tolist()))
    ends = np.cumsum([fractions["train"], fractions["validation"]])
    enough = (kinds, min(kinds, 2), fractions["test"] / 2)
    best: tuple[tuple[float, ...], int, np.ndarray] = ((-1,), 1, np.zeros(len(codes), np.int64))
    for seed in range(1, _SEEDS + 1):
        place = np.searchsorted(ends, split_points(texts, seed), side="right")
        found = _fitness(place, codes, enough)
        if found > best[0]:
            best = (found, seed, place)
        if found == enough:
            break
    rows = np.bincount(best[2], minlength=3)
    if best[0][0] < min(kinds, 2) or not rows.all():
        raise LakeError(
            f"{redact_text(sample.path)} has {len(codes):,} rows with a label and "
            f"{len(set(texts)):,} different keys ({', '.join(key.columns)}), which are too few: no "
            "split leaves rows of two labels to train on, and some to validate and test"
        )
    counted = ", ".join(f"{name} {n:,}" for name, n in zip(SPLITS, rows.tolist(), strict=True))
    return best[1], f"seed {best[1]} leaves {counted} rows with a label"


def _fitness(place: np.ndarray, codes: np.ndarray, enough: tuple[float, ...]) -> tuple[float, ...]:
    """Labels in train, in the poorer one of the others, share of the smallest split; at most what
    is enough."""
    labels = [len(set(codes[place == split].tolist())) for split in range(3)]
    smallest = np.bincount(place, minlength=3).min() / max(1, len(place))
    found = (labels[0], min(labels[1:]), float(smallest))
    return tuple(min(one, most) for one, most in zip(found, enough, strict=True))
