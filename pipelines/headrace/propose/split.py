"""Propose how rows are split into train, validation and test: by time, by group, or by key.

By time where rows are events, so that the model is evaluated on what happened later. Else rows that
belong together share a split, so that none of them gives another away; else every row goes by its
own key, or by all of its columns where it has none.
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
from headrace.number_text import format_share
from headrace.propose.columns import Column
from headrace.propose.keys import (
    RowKey,
    count_distinct_rows,
    find_calendar_key,
    find_group_column,
)
from headrace.propose.label import LabelProposal
from headrace.propose.sample import Sample
from headrace.propose.split_point import TEXT_TYPES, compute_split_points, write_key_texts
from headrace.redaction import redact_text
from headrace.schema import ColumnType
from headrace.transform.calendar import MICROS_PER_DAY

# Times that a table of events has at least, and the share of its rows that may have none.
_MIN_TIMES, _MAX_NULL_SHARE = 20, 0.01
_EVENT_NAME_PATTERN = re.compile(r"(?i)(time|date|day|hour|_at|ts|timestamp|when|created|occurred)")
_OTHER_TIME_PATTERN = re.compile(
    r"(?i)(birth|dob|expir|valid|until|updated|modified|due|founded|built)"
)
_SECOND = 10**6  # microseconds
_RELATIVE_UNITS = (
    (MICROS_PER_DAY, "days"), (3_600 * _SECOND, "hours"), (60 * _SECOND, "minutes"),
)  # fmt: skip
_MIN_UNITS = 5  # in a split, so that whole ones give it about its share
# Different keys up to which seeds are tried until no split is without rows, and how many are tried.
_MAX_KEYS_TO_TRY_SEEDS, _MAX_SEEDS = 1_000, 100


@dataclass(frozen=True)
class SplitProposal:
    """The proposed split of the rows.

    Attributes:
        section: the recipe's section `split`.
        reasons: comments for the recipe's reader.
        time_column: the column, where rows are split by time.
        later_mask: bool (rows,), the rows that are not for training, where it is by time.
    """

    section: Mapping[str, Any]
    reasons: tuple[str, ...]
    time_column: str | None = None
    later_mask: np.ndarray | None = None

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(self.section.get("key", ()))


def propose_split(sample: Sample, label: LabelProposal | None, key: RowKey) -> SplitProposal:
    """Propose the split.

    Args:
        sample: the sampled rows of the table.
        label: what is predicted, if it is known.
        key: the columns that identify rows.

    Raises:
        LakeError: rows are too few to be split.
    """
    others = {n: c for n, c in sample.columns.items() if label is None or n != label.column}
    for column in _find_event_times(list(others.values())):
        proposal = _split_by_time(column, label)
        if proposal:
            return proposal
    fractions = _choose_fractions(sample.table_rows)
    calendar_key = find_calendar_key(others)
    if calendar_key:
        reason = (
            "by calendar day: rows of one day share what happened that day, which the model would "
            "learn from the day's other rows"
        )
        return SplitProposal(_build_key_section(calendar_key, fractions), (reason,))
    group = find_group_column(list(others.values()))
    if group is not None:
        rows_per_value = group.present_count / group.distinct_count
        reason = (
            f"by {group.name}, which has {rows_per_value:.1f} rows per value in the sample: rows "
            "of one value share a split, so that the model is evaluated on values it has not seen"
        )
        return SplitProposal(_build_key_section((group.name,), fractions), (reason,))
    return _split_by_row(sample, label, key)


def _find_event_times(columns: Sequence[Column]) -> list[Column]:
    """Find the columns that may say when the rows' events happened, the likeliest first."""
    candidates = [
        column
        for column in columns
        if column.type is ColumnType.TIMESTAMP
        and column.null_count <= _MAX_NULL_SHARE * column.rows
        and column.distinct_count >= _MIN_TIMES
        and not _OTHER_TIME_PATTERN.search(column.name)
    ]
    return sorted(
        candidates,
        key=lambda c: (not _EVENT_NAME_PATTERN.search(c.name), c.null_count, -c.distinct_count),
    )


def _split_by_time(column: Column, label: LabelProposal | None) -> SplitProposal | None:
    """Propose a split by time, at round dates or times.

    Returns:
        The split; None where a split would lack rows, or train rows would have labels of one kind.
    """
    has_label = ~label.missing_mask if label else np.ones(column.rows, bool)
    times = column.numbers
    usable = has_label & ~column.missing_mask
    if usable.sum() < _MIN_TIMES:
        return None
    low, high = np.nanquantile(times[usable], (0.8, 0.9))
    span = float(np.nanmax(times[usable]) - np.nanmin(times[usable]))
    for unit in (MICROS_PER_DAY, 3_600 * _SECOND, 60 * _SECOND, _SECOND, 1):
        if unit > span / 20:
            continue
        first, second = (int(t // unit * unit) for t in (low, high))
        train, validation = times < first, (times >= first) & (times < second)
        test = times >= second
        shares = [
            float((split & usable).sum() / usable.sum()) for split in (train, validation, test)
        ]
        if shares[0] >= 0.6 and min(shares[1:]) >= 0.05 and _has_several_labels(label, train):
            break
    else:
        return None
    dates, moving = _write_dates(column, first, second, usable)
    listed = ", ".join(
        f"{name} {format_share(share)}" for name, share in zip(SPLITS, shares, strict=True)
    )
    reasons: tuple[str, ...] = (
        "by time: the model is evaluated on rows later than those it is trained on (in the sample: "
        f"{listed})",
        moving,
    )
    if column.null_count:
        reasons += (
            f"{column.null_count:,} of {column.rows:,} sampled rows have no time: filtered",
        )
    return SplitProposal({"time": {"column": column.name, **dates}}, reasons, column.name, ~train)


def _write_dates(
    column: Column, first: int, second: int, usable: np.ndarray
) -> tuple[dict[str, str], str]:
    """Return the times from which rows are for validation and test, and what becomes of them.

    They are relative to the newest row, so that they move on with a table that grows. That no split
    lacks rows then was seen before, in the sample.

    Args:
        column: the time.
        first, second: microseconds from which rows are for validation and test.
        usable: bool (rows,), the rows that have a time and a label.
    """
    newest = float(np.nanmax(column.numbers[usable]))
    for unit, name in _RELATIVE_UNITS:
        counts = [round((newest - limit) / unit) for limit in (first, second)]
        if counts[1] >= _MIN_UNITS and counts[0] > counts[1]:
            dates = {
                "validation_from": f"-{counts[0]} {name}", "test_from": f"-{counts[1]} {name}"
            }  # fmt: skip
            moving = (
                "the times are relative to the newest row: a version keeps those of its fit, and a "
                "refit moves them on with the table"
            )
            return dates, moving
    dates = {"validation_from": _format_time(first), "test_from": _format_time(second)}
    moving = (
        "the dates stay as they are when the table grows, and new rows become test rows: move them "
        "from time to time"
    )
    return dates, moving


def _has_several_labels(label: LabelProposal | None, train: np.ndarray) -> bool:
    return label is None or len(set(label.codes[train & ~label.missing_mask].tolist())) > 1


def _format_time(micros: int) -> str:
    moment = datetime.fromtimestamp(micros // 10**6, UTC).replace(microsecond=micros % 10**6)
    if micros % MICROS_PER_DAY == 0:
        return f"{moment:%Y-%m-%d}"
    return moment.replace(tzinfo=None).isoformat()


def _split_by_row(sample: Sample, label: LabelProposal | None, key: RowKey) -> SplitProposal:
    fractions = _choose_fractions(sample.table_rows)
    columns = key.columns or (*sample.columns, *sample.images)
    distinct = sample.rows
    if key.columns:
        reason = (
            f"by {', '.join(key.columns)}, which differs in each of {sample.rows:,} sampled rows"
        )
    else:
        distinct = count_distinct_rows(list(sample.columns.values()))
        reason = (
            "by a hash of the whole row, as no column is a key: rows that are the same in all "
            f"columns share a split ({distinct:,} different ones in {sample.rows:,} sampled rows)"
        )
    reasons = [reason]
    seed = 1
    if sample.is_whole and distinct <= _MAX_KEYS_TO_TRY_SEEDS:
        seed, seed_reason = _find_seed(sample, label, columns, fractions)
        if seed_reason:
            reasons.append(seed_reason)
    return SplitProposal(_build_key_section(columns, fractions, seed), tuple(reasons))


def _build_key_section(
    key: Sequence[str], fractions: Mapping[str, float], seed: int = 1
) -> dict[str, Any]:
    return {"key": list(key), "fractions": dict(fractions), "seed": seed}


def _choose_fractions(rows: int) -> dict[str, float]:
    """Choose the splits' shares; of few rows, a tenth would be too few to evaluate on."""
    if rows < 1000:
        return {"train": 0.6, "validation": 0.2, "test": 0.2}
    return {"train": 0.8, "validation": 0.1, "test": 0.1}


def _find_seed(
    sample: Sample,
    label: LabelProposal | None,
    key: Sequence[str],
    fractions: Mapping[str, float],
) -> tuple[int, str]:
    """Find a seed that leaves rows to every split, and rows of every label to train.

    Returns:
        The seed, and the rows that it gives each split, in words; seed 1 and no words where Spark's
        text of a column is not known here. That of a real number is nearly always.

    Raises:
        LakeError: there is none, as rows are too few.
    """
    columns = [sample.columns[name] for name in key if name in sample.columns]
    if len(columns) < len(key) or any(c.type not in TEXT_TYPES for c in columns):
        return 1, ""
    codes = label.codes if label else np.zeros(sample.rows, np.int64)
    has_label = codes >= 0
    texts = (write_key_texts(c.values.filter(pa.array(has_label))) for c in columns)
    keys = list(zip(*texts, strict=True))
    codes, label_count = codes[has_label], len(set(codes[has_label].tolist()))
    ends = np.cumsum([fractions["train"], fractions["validation"]])
    enough = (label_count, min(label_count, 2), fractions["test"] / 2)
    best: tuple[tuple[float, ...], int, np.ndarray] = ((-1,), 1, np.zeros(len(codes), np.int64))
    for seed in range(1, _MAX_SEEDS + 1):
        splits = np.searchsorted(ends, compute_split_points(keys, seed), side="right")
        fitness = _measure_fitness(splits, codes, enough)
        if fitness > best[0]:
            best = (fitness, seed, splits)
        if fitness == enough:
            break
    rows = np.bincount(best[2], minlength=3)
    if best[0][0] < min(label_count, 2) or not rows.all():
        raise LakeError(
            f"{redact_text(sample.path)} has {len(codes):,} rows with a label and "
            f"{len(set(keys)):,} different keys ({', '.join(key)}), which are too few: no "
            "split leaves rows of two labels to train on, and some to validate and test"
        )
    listed = ", ".join(f"{name} {n:,}" for name, n in zip(SPLITS, rows.tolist(), strict=True))
    about = "about " if any(c.type is ColumnType.REAL for c in columns) else ""
    return best[1], f"seed {best[1]} leaves {about}{listed} rows with a label"


def _measure_fitness(
    splits: np.ndarray, codes: np.ndarray, enough: tuple[float, ...]
) -> tuple[float, ...]:
    """Return how good a split is, each figure capped at what is enough.

    Args:
        splits: int64 (rows,): 0 for train, 1 for validation, 2 for test.
        codes: int64 (rows,), one number per label.
        enough: the figures of a split that is good enough.

    Returns:
        Different labels in train; in the one of the others that has fewer; and the share of rows in
        the smallest split.
    """
    label_counts = [len(set(codes[splits == split].tolist())) for split in range(3)]
    smallest = np.bincount(splits, minlength=3).min() / max(1, len(splits))
    figures = (label_counts[0], min(label_counts[1:]), float(smallest))
    return tuple(min(figure, cap) for figure, cap in zip(figures, enough, strict=True))
