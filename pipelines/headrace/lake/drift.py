"""Measure how far the values of new rows are from those that the transform was fitted on.

Pure functions of two arrays of counts over the same bins or labels; counting, and what follows from
drift, are left to others. The limit on a distance rises with fewer rows: under no change at all,
PSI times nm / (n + m) is distributed about like chi-squared with one degree of freedom less than
there are bins (Yurdakul, 2018), and the difference of two shares is bounded by Hoeffding (1963),
over all labels at once.
"""

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from headrace.number_text import format_beside, format_number

# Bins are merged until each has this share of the reference, so that no empty bin decides.
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

    It is sum((c - r) ln(c / r)) over the bins' shares, with half a row added to every bin.

    Args:
        reference, current: counts, shape (bins,).
    """
    reference_shares = (reference + 0.5) / (reference + 0.5).sum()
    shares = (current + 0.5) / (current + 0.5).sum()
    return float(((shares - reference_shares) * np.log(shares / reference_shares)).sum())


def merge_bins(reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merge neighbouring bins of both counts until each has 5% of the reference.

    Args:
        reference, current: counts, shape (bins,).

    Returns:
        Both counts over the merged bins, int64.
    """
    smallest = _SMALLEST_SHARE * reference.sum()
    bins: list[tuple[int, int]] = []
    open_reference = open_current = 0
    for reference_count, count in zip(reference.tolist(), current.tolist(), strict=True):
        open_reference, open_current = open_reference + reference_count, open_current + count
        if open_reference >= smallest and open_reference:
            bins.append((open_reference, open_current))
            open_reference = open_current = 0
    if open_reference or open_current:
        if bins:
            bins[-1] = (bins[-1][0] + open_reference, bins[-1][1] + open_current)
        else:
            bins.append((open_reference, open_current))
    pairs = np.array(bins, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


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
