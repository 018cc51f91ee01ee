"""Compute the areas under ROC and precision-recall curves; rows are sorted once, each call takes
other weights."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SortedScores:
    """Rows sorted by score, the highest first.

    Attributes:
        order: positions of the rows, highest score first, int64 (rows,).
        ends: position in `order` of the last row of each distinct score, (scores,).
        scores: the distinct scores, descending.
        positive: bool (rows,), in `order`.
    """

    order: np.ndarray
    ends: np.ndarray
    scores: np.ndarray
    positive: np.ndarray

    @staticmethod
    def from_rows(truth: np.ndarray, score: np.ndarray) -> "SortedScores":
        """Sort rows by their score.

        Args:
            truth: 0 or 1, (rows,).
            score: of label 1, (rows,).
        """
        order = np.argsort(-score, kind="stable")
        descending = score[order]
        ends = np.append(np.flatnonzero(descending[1:] != descending[:-1]), len(descending) - 1)
        return SortedScores(order, ends, descending[ends], truth[order] > 0)

    def sum_positive_weights(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weight of true and of false positives with each score as the threshold.

        Args:
            weight: float64 (rows,).

        Returns:
            two arrays, float64 (scores,), by descending threshold.
        """
        weight = weight[self.order]
        true = np.cumsum(np.where(self.positive, weight, 0.0))[self.ends]
        false = np.cumsum(np.where(self.positive, 0.0, weight))[self.ends]
        return true, false


def compute_roc_auc(true: np.ndarray, false: np.ndarray) -> float:
    """Return the area under the ROC curve by trapezoids: a tie counts one half.

    Args:
        true, false: weights as `SortedScores.sum_positive_weights` returns them.

    Returns:
        0 to 1; NaN where only one class has weight.
    """
    if not (true[-1] > 0 and false[-1] > 0):
        return float("nan")
    height, width = np.append(0.0, true), np.append(0.0, false)
    area = np.dot(np.diff(width), (height[1:] + height[:-1]) / 2)
    return float(area / (true[-1] * false[-1]))


def compute_average_precision(true: np.ndarray, false: np.ndarray) -> float:
    """Return the sum of precision times the step in recall, over all thresholds.

    Args:
        true, false: weights as `SortedScores.sum_positive_weights` returns them.

    Returns:
        0 to 1; NaN where only one class has weight.
    """
    if not (true[-1] > 0 and false[-1] > 0):
        return float("nan")
    predicted = true + false
    precision = np.divide(true, predicted, out=np.zeros_like(true), where=predicted > 0)
    return float(np.dot(np.diff(np.append(0.0, true)), precision) / true[-1])


def compute_gini(truth: np.ndarray, score: np.ndarray) -> float:
    """Return the Gini coefficient 2 AUC - 1 of a label (0 or 1) and a score, clipped to 0 to 1; 0
    where only one class occurs."""
    area = compute_roc_auc(
        *SortedScores.from_rows(truth, score).sum_positive_weights(np.ones(len(truth)))
    )
    return 0.0 if np.isnan(area) else float(np.clip(2 * area - 1, 0, 1))
