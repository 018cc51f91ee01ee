"""Measure how far the values of new rows are from those that the transform was fitted on.

Pure functions of two arrays of counts over the same bins or labels; counting, and what follows from
drift, are left to others. The limit on a distance rises with fewer rows: under no change at all,
PSI times nm / (n + m) is distributed about like chi-squared with one degree of freedom less than
there are bins (Yurdakul, 2018), and the difference of two shares is bounded by Hoeffding (1963),
over all labels at once.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from headrace.number_text import format_beside, format_number

# Bins with less of the reference are merged with neighbours that have less too, never with one that
# has more: a column of zeros would be one bin, and whatever it turns into no drift.
_SMALLEST_SHARE = 0.05
# Probability, per column and build, that a column which did not change is called drifted.
_FALSE_ALARM_RATE = 1e-4
MEASURE_NAMES = {
    "psi": "population stability index",
    "l_infinity": "largest change of a value's share",
    "unknown_share": "rise of the share of unknown values",
}
"""Measure -> what it is, for people."""


class ColumnDrift(BaseModel):
    """The distance of one column's values from the reference, and its limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    measure: Literal["psi", "l_infinity", "unknown_share"]
    value: float
    limit: float
    """Limit for this number of rows; a larger value is drift."""
    rows: int

    @property
    def has_drifted(self) -> bool:
        """Return whether the distance is beyond its limit."""
        return self.value > self.limit


def compute_psi(reference: np.ndarray, current: np.ndarray) -> float:
    """Compute the population stability index of two arrays of counts over the same bins.

    It is sum((c - r) ln(c / r)) over the shares of the bins that are not empty in both. Half a row
    is added to every bin of the reference, and as many in all to the current rows: evenly where
    there are as many as in the reference, and by the reference's shares the more, the fewer they
    are. So a bin in which so few rows have none by chance decides nothing.

    Args:
        reference, current: counts, shape (bins,).
    """
    is_used = reference + current > 0
    reference, current = reference[is_used], current[is_used]
    bins, reference_rows, rows = len(reference), reference.sum(), current.sum()
    if not bins:
        return 0.0
    reference_shares = (reference + 0.5) / (reference_rows + bins / 2)
    ratio = min(1.0, rows / reference_rows) if reference_rows else 1.0
    added = ratio * 0.5 + (1 - ratio) * bins / 2 * reference_shares
    shares = (current + added) / (rows + added.sum())
    return float(((shares - reference_shares) * np.log(shares / reference_shares)).sum())


def merge_bins(reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merge runs of bins that have less than 5% of the reference, until each run has 5%.

    What is left of a run goes to the merged bin before it, or is a bin of its own between bins that
    have 5% by themselves.

    Args:
        reference, current: counts, shape (bins,).

    Returns:
        Both counts over the merged bins, int64.
    """
    smallest = max(1.0, _SMALLEST_SHARE * reference.sum())
    begins: list[int] = []  # of the merged bins
    in_run, gathered = 0, 0.0  # merged bins of the run, and what the last of them has
    for position, count in enumerate([*reference.tolist(), math.inf]):
        if count >= smallest:
            if in_run > 1 and gathered < smallest:
                begins.pop()
            begins.append(position)
            in_run = 0
            continue
        if not in_run or gathered >= smallest:
            begins.append(position)
            in_run, gathered = in_run + 1, 0.0
        gathered += count
    begins.pop()  # of the end
    if not begins:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    before, after = (
        np.add.reduceat(counts.astype(np.int64), begins) for counts in (reference, current)
    )
    return before, after


def measure_number_drift(
    name: str, reference: np.ndarray, current: np.ndarray, base_limit: float
) -> ColumnDrift | None:
    """Measure the PSI of a numeric column; None where either side has no values.

    Args:
        name: name of the column.
        reference, current: counts over the same bins, shape (bins,).
        base_limit: limit of the PSI for any number of rows; few rows raise it.
    """
    from scipy.special import chdtri  # of scipy.stats, which takes a second to import

    reference_rows, rows = int(reference.sum()), int(current.sum())
    if not reference_rows or not rows:
        return None
    before, after = merge_bins(reference, current)
    quantile = float(chdtri(max(1, len(before) - 1), _FALSE_ALARM_RATE))
    chance = quantile * (1 / reference_rows + 1 / rows)
    return ColumnDrift(
        name=name,
        measure="psi",
        value=compute_psi(before, after),
        limit=max(base_limit, chance),
        rows=rows,
    )


def measure_id_drift(
    name: str, reference: np.ndarray, current: np.ndarray, base_limit: float
) -> ColumnDrift | None:
    """Measure the largest difference of any label's share (L-infinity) of a categorical column.

    Args:
        name: name of the column.
        reference, current: counts over the same labels, shape (labels,).
        base_limit: limit of the difference for any number of rows; few rows raise it.

    Returns:
        The drift; None where either side has no values.
    """
    reference_rows, rows = int(reference.sum()), int(current.sum())
    if not reference_rows or not rows:
        return None
    value = float(np.abs(reference / reference_rows - current / rows).max())
    log_bound = math.log(2 * len(reference) / _FALSE_ALARM_RATE)
    chance = math.sqrt(log_bound / 2 * (1 / reference_rows + 1 / rows))
    return ColumnDrift(
        name=name, measure="l_infinity", value=value, limit=max(base_limit, chance), rows=rows
    )


def measure_missing_drift(
    reference: tuple[Mapping[str, int], int],
    current: tuple[Mapping[str, int], int],
    base_limit: float,
    counted: Collection[str] = (),
) -> list[ColumnDrift]:
    """Measure the change of each raw column's share of missing values.

    What replaces a missing number may be what most rows have anyway, so its bins need not tell.

    Args:
        reference, current: raw column -> rows where it is missing, and the number of rows.
        base_limit: limit of the change for any number of rows; few rows raise it.
        counted: columns whose missing values are counted with their other values.

    Returns:
        The drift of the columns that both have; none where either side has no rows.
    """
    (before, reference_rows), (now, rows) = reference, current
    measured = (
        measure_id_drift(
            f"{name} is missing",
            np.array([before[name], reference_rows - before[name]], np.int64),
            np.array([now[name], rows - now[name]], np.int64),
            base_limit,
        )
        for name in before
        if name in now and name not in counted
    )
    return [drift for drift in measured if drift is not None]


def measure_unknown_drift(
    name: str, reference: tuple[int, int], current: tuple[int, int], base_limit: float
) -> ColumnDrift | None:
    """Measure the rise of the share of values that are out of the vocabulary.

    Args:
        name: name of the column.
        reference, current: number of unknown values, and of all values.
        base_limit: limit of the rise for any number of rows; few rows raise it.

    Returns:
        The drift, of value 0 where the share fell; None where either side has no values.
    """
    if not reference[1] or not current[1]:
        return None
    rise = current[0] / current[1] - reference[0] / reference[1]
    chance = math.sqrt(math.log(1 / _FALSE_ALARM_RATE) / 2 * (1 / reference[1] + 1 / current[1]))
    return ColumnDrift(
        name=name, measure="unknown_share", value=max(0.0, rise),
        limit=max(base_limit, chance), rows=current[1],
    )  # fmt: skip


def describe_drift(drift: Iterable[ColumnDrift]) -> list[str]:
    """Return a line for every column that drifted, the furthest beyond its limit first."""
    drifted = sorted((d for d in drift if d.has_drifted), key=lambda d: d.limit / d.value)
    return [
        f"{d.name}: {MEASURE_NAMES[d.measure]} {format_beside(d.value, d.limit, 3)}, above its "
        f"limit {format_number(d.limit, 3)} ({d.rows:,} values)"
        for d in drifted
    ]


def join_drift(lines: Sequence[str], most: int) -> str:
    """Return the first lines of `describe_drift` as one, and how many more there are."""
    more = f"; and {len(lines) - most} more" if len(lines) > most else ""
    return f"{'; '.join(lines[:most])}{more}"
