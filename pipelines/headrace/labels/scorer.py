"""Say what computes the metrics of an evaluation, whatever the kind of label."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Scorer(Protocol):
    """Rows and predictions from which metrics are computed under any weights."""

    rows: int

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        """Return the metrics under these weights, float64 (rows,); undefined ones are left out."""

    def count_outcomes(self, weight: np.ndarray | None = None) -> dict[str, float]:
        """Return the number of rows, and sums of weights; see `scoring.count_rows`."""

    def describe_labels(
        self, weight: np.ndarray, names: Sequence[str]
    ) -> list[dict[str, float | str]]:
        """Return a row per label, the worst first; an empty list where rows have one label each."""
