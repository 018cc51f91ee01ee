"""Say what a uniform sample of rows tells of all of them: quantiles, distinct values, frequencies.

Every figure comes with its error, and is exact where the sample is everything. NumPy alone.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

CONFIDENCE = 0.99
"""Probability that a figure is within the error that is stated for it."""


def compute_rank_error(sampled: int, values: int) -> float:
    """Compute by how much the share of values below a number may be off: 0 to 1.

    The bound of Serfling (1974) for sampling without replacement, at `CONFIDENCE`; 0 where all
    values are in the sample.

    Args:
        sampled: values in the sample.
        values: all values.
    """
    if sampled >= values:
        return 0.0
    if not sampled:
        return 1.0
    left = 1 - (sampled - 1) / values
    return min(1.0, math.sqrt(left * math.log(2 / (1 - CONFIDENCE)) / (2 * sampled)))


@dataclass(frozen=True)
class Quantile:
    """A quantile of numbers.

    Attributes:
        share: 0 to 1.
        value: a value that occurs, or between two that follow each other.
        low, high: the true one lies between these, at `CONFIDENCE`.
    """

    share: float
    value: float
    low: float
    high: float


@lru_cache(maxsize=4096)
def bound_share(share: float, sampled: int, values: int) -> tuple[float, float]:
    """Bound the share of a sample's values that are below the quantile of this share of all values.

    The bound of Chernoff and Hoeffding (1963) by relative entropy, which holds for sampling without
    replacement, too; near 0 and 1 it is much closer than `compute_rank_error`. The closer of both,
    at `CONFIDENCE`.

    Args:
        share: 0 to 1.
        sampled: values in the sample, one or more.
        values: all values.
    """
    error = compute_rank_error(sampled, values)
    if not error:
        return share, share
    exponent = math.log(2 / (1 - CONFIDENCE)) / sampled
    bounds = []
    for end in (0.0, 1.0):
        inside, outside = share, end
        if _compute_entropy(end, share) > exponent:
            for _ in range(40):
                middle = (inside + outside) / 2
                if _compute_entropy(middle, share) > exponent:
                    outside = middle
                else:
                    inside = middle
        bounds.append(outside)
    return max(bounds[0], share - error), min(bounds[1], share + error)


def _compute_entropy(first: float, second: float) -> float:
    """Compute the relative entropy of two probabilities of yes or no."""
    parts = ((first, second), (1 - first, 1 - second))
    return sum(p * math.log(p / q) for p, q in parts if p > 0)


def compute_quantile(
    ordered: np.ndarray, share: float, values: int, limits: tuple[float, float]
) -> Quantile:
    """Return a quantile, linear between neighbouring ranks as NumPy's.

    Args:
        ordered: the sample, float64 (n,), ascending, one or more.
        share: of the values below it, more than 0 and less than 1.
        values: all values.
        limits: the smallest and the largest of all values.
    """
    last = len(ordered) - 1
    value = _interpolate(ordered, last * share)
    if len(ordered) >= values:
        return Quantile(share, value, value, value)
    first, end = bound_share(share, len(ordered), values)
    below, above = math.floor(len(ordered) * first) - 1, math.ceil(len(ordered) * end)
    low = float(ordered[below]) if below >= 0 else min(limits[0], value)
    high = float(ordered[above]) if above <= last else max(limits[1], value)
    return Quantile(share, value, low, high)


def _interpolate(ordered: np.ndarray, position: float) -> float:
    below, above = float(ordered[math.floor(position)]), float(ordered[math.ceil(position)])
    part = position - math.floor(position)
    return below if below == above else below * (1 - part) + above * part


@dataclass(frozen=True)
class DistinctCount:
    """The number of distinct values.

    Attributes:
        low, high: it lies between these; equal where it is exact.
        estimate: the estimate in between.
    """

    low: int
    estimate: int
    high: int

    @property
    def is_exact(self) -> bool:
        """Return whether it is known exactly."""
        return self.low == self.high


def estimate_distinct(frequencies: np.ndarray, values: int) -> DistinctCount:
    """Estimate how many distinct values there are from how often each occurs in a sample.

    The guaranteed-error estimator of Charikar, Chaudhuri, Motwani and Narasayya (2000): values that
    are seen once stand for sqrt(values / sampled) values, and for one at least and values / sampled
    at most, with high probability; those that are seen more often for themselves.

    Args:
        frequencies: occurrences in the sample of each distinct value, int64 (distinct,).
        values: all values.
    """
    sampled, seen = int(frequencies.sum()), len(frequencies)
    if sampled >= values or not sampled:
        return DistinctCount(seen, seen, seen)
    once = int(np.count_nonzero(frequencies == 1))
    several = seen - once
    scale = values / sampled
    return DistinctCount(
        seen, several + round(math.sqrt(scale) * once), several + math.ceil(scale * once)
    )


def estimate_multiplicity(frequencies: np.ndarray, values: int) -> float:
    """Estimate how many rows have the value of a row, that row included, averaged over rows.

    1 where no two rows have the same value. Unbiased: from the share of equal pairs in the sample.

    Args:
        frequencies: occurrences in the sample of each distinct value, int64 (distinct,).
        values: all values.
    """
    sampled = int(frequencies.sum())
    if sampled < 2:
        return 1.0
    counts = frequencies.astype(np.float64)
    equal = float((counts * (counts - 1)).sum()) / (sampled * (sampled - 1))
    return 1.0 + equal * (values - 1)


def compute_skewness(values: np.ndarray) -> float:
    """Compute the third standardized moment of float64 values; 0 where they do not vary."""
    if len(values) < 3:
        return 0.0
    largest = float(np.abs(values).max())
    if not largest:
        return 0.0
    scaled = values / largest
    deviation = scaled - scaled.mean()
    variance = float(np.square(deviation).mean())
    if variance <= (4e-16) ** 2:  # what rounding leaves of equal values
        return 0.0
    return float((deviation**3).mean() / variance**1.5)
