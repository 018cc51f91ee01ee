"""Say what the ranks add up of a sketch; `labels` knows no collectives, its callers do."""

from typing import Protocol

import numpy as np


class RankSums(Protocol):
    """The ranks that sketch their rows together; all of them call the same methods in order."""

    def add(self, counts: np.ndarray) -> np.ndarray:
        """Return int64 arrays added up over ranks, the same on every rank."""

    def find_largest(self, values: np.ndarray) -> np.ndarray:
        """Return the largest of each value over ranks, float64, the same on every rank."""


class OneRank:
    """The sums where one rank has all rows."""

    def add(self, counts: np.ndarray) -> np.ndarray:
        """Return the counts."""
        return counts

    def find_largest(self, values: np.ndarray) -> np.ndarray:
        """Return the values."""
        return values
