"""Compute the Poisson deviance of counts and rates."""

import numpy as np

SMALLEST_RATE = float(np.finfo(np.float32).tiny)
"""Rates are kept from 0 before the logarithm: the smallest normal float32."""


def compute_poisson_deviances(predicted: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return twice the loss of log-likelihood per row, float64 (rows,) (McCullagh and Nelder 1989).

    Args:
        predicted: rates, (rows,) or ().
        counts: float64 (rows,).
    """
    rates = np.maximum(predicted.astype(np.float64), SMALLEST_RATE)
    # y log(y / rate), which is 0 for y = 0.
    surprise = counts * np.log(np.where(counts > 0, counts, rates) / rates)
    deviances: np.ndarray = 2 * (surprise - counts + rates)
    return deviances
