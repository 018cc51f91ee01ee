"""Probabilities beside what came true, in bins."""

import numpy as np

CALIBRATION_BINS = 15


class Calibration:
    """Mean probability beside what came true, in bins of equal width."""

    def __init__(self, probability: np.ndarray, came_true: np.ndarray) -> None:
        place = np.ceil(probability * CALIBRATION_BINS).astype(np.int64) - 1
        self._bin = np.clip(place, 0, CALIBRATION_BINS - 1)
        self._difference = probability - came_true

    def error(self, weight: np.ndarray) -> float:
        """Expected calibration error (Guo et al. 2017, arXiv:1706.04599)."""
        sums = np.bincount(self._bin, weight * self._difference, CALIBRATION_BINS)
        return float(np.abs(sums).sum() / weight.sum())
