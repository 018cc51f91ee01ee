"""ROC and precision-recall curves of weighted rows, by one sort that many resamplings share."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranked:
    """Rows by falling score.

    Attributes:
        order: positions of the rows, highest score first, int64 (rows,).
        ends: position in `order` of the last row of each distinct score, (scores,).
        scores: the distinct scores, falling.
        positive: bool (rows,), in `order`.
    """

    order: np.ndarray
    ends: np.ndarray
    scores: np.ndarray
    positive: np.ndarray

    @staticmethod
    def of(truth: np.ndarray, score: np.ndarray) -> "Ranked":
        """Of a label (0 or 1) and a score, both (rows,)."""
        order = np.argsort(-score, kind="stable")
        ranked = score[order]
        ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
        return Ranked(order, ends, ranked[ends], truth[order] > 0)

    def counts(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight of true and of false positives at each distinct score taken as the threshold."""
        weight = weight[self.order]
        true = np.cumsum(np.where(self.positive, weight, 0.0))[self.ends]
        false = np.cumsum(np.where(self.positive, 0.0, weight))[self.ends]
        return true, false


def roc_auc(true: np.ndarray, false: np.ndarray) -> float:
    """Area under the ROC curve by trapezoids, which counts ties a half; NaN with one class alone.

    Args:
        true, false: as `Ranked.counts` gives them.
    """
    if not (true[-1] > 0 and false[-1] > 0):
        return float("nan")
    height, width = np.append(0.0, true), np.append(0.0, false)
    area = np.dot(np.diff(width), (height[1:] + height[:-1]) / 2)
    return float(area / (true[-1] * false[-1]))


def average_precision(true: np.ndarray, false: np.ndarray) -> float:
    """Sum of precision times the step in recall over all thresholds; NaN with one class alone."""
    if not (true[-1] > 0 and false[-1] > 0):
        return float("nan")
    named = true + false
    precision = np.divide(true, named, out=np.zeros_like(true), where=named > 0)
    return float(np.dot(np.diff(np.append(0.0, true)), precision) / true[-1])
