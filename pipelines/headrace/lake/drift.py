"""How far the values of new rows are from those that the transform was fitted on.

Pure functions of two arrays of counts over the same bins or labels. The limit on a distance rises
where there are few rows: under no change at all, PSI times nm / (n + m) is distributed about like
chi-squared with one degree of freedom less than there are bins (Yurdakul, 2018), and the difference
of two shares is bounded by Hoeffding (1963), over all labels at once.
"""

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

# Bins are joined until each holds this share of the reference, so that no empty bin decides.
_LEAST_SHARE = 0.05
# Chance that a column which did not change is called drifted, a column and build.
_FALSE_ALARM = 1e-4


class ColumnDrift(BaseModel):
    """What became of one column."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    measure: Literal["psi", "l_infinity", "unknown_share"]
    value: float
    limit: float
    """For this many rows; values above are drift."""
    rows: int

    @property
    def drifted(self) -> bool:
        return self.value > self.limit


def psi(reference: np.ndarray, found: np.ndarray) -> float:
    """Population stability index of two arrays of counts over the same bins, shape (bins,).

    sum((f - r) ln(f / r)) over shares, half a row added to every bin.
    """
    r = (reference + 0.5) / (reference + 0.5).sum()
    f = (found + 0.5) / (found + 0.5).sum()
    return float(((f - r) * np.log(f / r)).sum())


def joined_bins(reference: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both counts with neighbouring bins joined until each has 5% of the reference."""
    least = _LEAST_SHARE * reference.sum()
    bins: list[tuple[int, int]] = []
    held_r = held_f = 0
    for r, f in zip(reference.tolist(), found.tolist(), strict=True):
        held_r, held_f = held_r + r, held_f + f
        if held_r >= least and held_r:
            bins.append((held_r, held_f))
            held_r = held_f = 0
    if held_r or held_f:
        if bins:
            bins[-1] = (bins[-1][0] + held_r, bins[-1][1] + held_f)
        else:
            bins.append((held_r, held_f))
    pairs = np.array(bins, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def number_drift(
    name: str, reference: np.ndarray, found: np.ndarray, largest: float
) -> ColumnDrift | None:
    """PSI of a numeric column; None where one side has no values.

    Args:
        name: the column's.
        reference, found: counts of shape (bins,) over the same bins.
        largest: PSI that is called drift however many rows there are.
    """
    from scipy.special import chdtri  # of scipy.stats, which takes a second to import

    n, m = int(reference.sum()), int(found.sum())
    if not n or not m:
        return None
    r, f = joined_bins(reference, found)
    chance = float(chdtri(max(1, len(r) - 1), _FALSE_ALARM)) * (1 / n + 1 / m)
    return ColumnDrift(
        name=name, measure="psi", value=psi(r, f), limit=max(largest, chance), rows=m
    )


def id_drift(
    name: str, reference: np.ndarray, found: np.ndarray, largest: float
) -> ColumnDrift | None:
    """Largest difference of a label's share (L-infinity) of a categorical column, or None."""
    n, m = int(reference.sum()), int(found.sum())
    if not n or not m:
        return None
    value = float(np.abs(reference / n - found / m).max())
    chance = math.sqrt(math.log(2 * len(reference) / _FALSE_ALARM) / 2 * (1 / n + 1 / m))
    return ColumnDrift(
        name=name, measure="l_infinity", value=value, limit=max(largest, chance), rows=m
    )


def unknown_drift(
    name: str, reference: tuple[int, int], found: tuple[int, int], largest: float
) -> ColumnDrift | None:
    """Rise of the share of values that are out of the vocabulary.

    Args:
        name: the column's.
        reference, found: unknown values and all values.
        largest: rise that is called drift however many rows there are.
    """
    if not reference[1] or not found[1]:
        return None
    rise = found[0] / found[1] - reference[0] / reference[1]
    chance = math.sqrt(math.log(1 / _FALSE_ALARM) / 2 * (1 / reference[1] + 1 / found[1]))
    return ColumnDrift(
        name=name, measure="unknown_share", value=max(0.0, rise),
        limit=max(largest, chance), rows=found[1],
    )  # fmt: skip


def drift_lines(drift: Iterable[ColumnDrift]) -> list[str]:
    """The columns that drifted, the furthest first."""
    far = sorted((d for d in drift if d.drifted), key=lambda d: d.limit / d.value)
    return [
        f"{d.name}: {d.measure} {d.value:.3f}, limit {d.limit:.3f} for {d.rows:,} values"
        for d in far
    ]
