"""Compute quantiles of weighted values."""

from collections.abc import Sequence

import numpy as np


def compute_weighted_quantiles(
    values: np.ndarray, weight: np.ndarray, shares: Sequence[float]
) -> np.ndarray:
    """Return the quantiles of values by their weights, float64 (shares,).

    A quantile is the value up to which its share of the weight lies. Where the share is reached
    exactly, it is the mean of this value and the next one (averaged inverted distribution function,
    Hyndman and Fan 1996, definition 2, as the median has it).

    Args:
        values: rising, (rows,).
        weight: of the values, (rows,), not all 0; those of weight 0 do not count.
        shares: from 0 to 1.
    """
    has_weight = weight > 0
    values, weight = values[has_weight], weight[has_weight]
    cumulative = np.cumsum(weight)
    targets, rounding = np.array(shares) * cumulative[-1], 1e-12 * cumulative[-1]
    positions = np.minimum(np.searchsorted(cumulative, targets - rounding), len(values) - 1)
    exact = np.abs(cumulative[positions] - targets) <= rounding
    after = np.minimum(positions + exact, len(values) - 1)
    quantiles: np.ndarray = (values[positions] + values[after]) / 2
    return quantiles
