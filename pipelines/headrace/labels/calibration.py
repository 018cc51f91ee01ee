"""Compute the expected calibration error of probabilities under any weights."""

import numpy as np

CALIBRATION_BINS = 15


class CalibrationError:
    """The expected calibration error of rows in bins of equal width by probability."""

    def __init__(self, probability: np.ndarray, outcome: np.ndarray) -> None:
        """Assign rows to bins.

        Args:
            probability: float64 (rows,), 0 to 1.
            outcome: 1 where what was predicted came true, else 0, (rows,).
        """
        self._bin = assign_calibration_bins(probability)
        self._difference = probability - outcome

    def measure_error(self, weight: np.ndarray) -> float:
        """Return the expected calibration error (Guo et al. 2017, arXiv:1706.04599).

        Args:
            weight: float64 (rows,).
        """
        sums = np.bincount(self._bin, weight * self._difference, CALIBRATION_BINS)
        return float(np.abs(sums).sum() / weight.sum())


def assign_calibration_bins(probability: np.ndarray) -> np.ndarray:
    """Return the bin of each probability, int64 (rows,)."""
    bins = np.ceil(probability * CALIBRATION_BINS).astype(np.int64) - 1
    return np.asarray(np.clip(bins, 0, CALIBRATION_BINS - 1))
