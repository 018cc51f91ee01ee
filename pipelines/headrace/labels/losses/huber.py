"""Define Huber's loss: squared near 0, absolute beyond delta (Huber 1964)."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from headrace.labels.kind import FittedLabel, LabelKind, RowLosses
from headrace.labels.losses.loss import ConstantLoss, Loss, activate_number
from headrace.recipe_section import Positive

if TYPE_CHECKING:
    import tensorflow as tf

_HALVINGS = 100  # of the interval that has the best constant: float64 has no finer one


class Huber(Loss):
    """Half the squared error up to `delta`, and beyond it delta (error - delta / 2).

    The model predicts the mean of most rows, and outliers pull it no more than by `delta`.
    """

    kind: Literal["huber"]
    delta: Positive
    """In the label's own unit, with `label.standardize` as without it: for a label in minutes, the
    minutes from which an error is an outlier."""

    label_kinds = ("regression", "count")
    metric = "huber_loss"
    d2 = "d2_huber"

    def make_row_losses(
        self, kind: LabelKind, label: FittedLabel, label_smoothing: float = 0.0
    ) -> RowLosses:
        """Return the loss of standardized labels, where the label is standardized.

        That is the loss in the label's own unit, divided by the square of the standard deviation.
        """
        import tensorflow as tf

        delta = self.delta / label.scale

        def compute_row_losses(labels: "tf.Tensor", logits: "tf.Tensor") -> "tf.Tensor":
            error = tf.abs(labels - activate_number(kind, logits))
            near = tf.minimum(error, delta)  # no square overflows, whose gradient would be NaN
            return near * (error - near / 2)

        return compute_row_losses

    def compute_row_losses(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the same per row, float64."""
        return _compute_huber_losses(predicted, truth, self.delta / label.scale)

    def measure_rows(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the loss in the square of the label's own unit."""
        return _compute_huber_losses(predicted, truth, self.delta)

    def predict_constant(
        self, truth: np.ndarray, weight: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return Huber's M-estimate of location."""
        delta = self.delta / label.scale
        return np.asarray(_SortedLabels(truth, delta).find_center(weight))

    def prepare_constant_loss(
        self, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> ConstantLoss:
        """Prepare the loss of the M-estimate of the labels."""
        labels = _SortedLabels(truth, self.delta)

        def compute_constant_loss(weight: np.ndarray) -> float:
            center = np.asarray(labels.find_center(weight))
            losses = _compute_huber_losses(center, truth, self.delta)
            return float(weight @ losses / weight.sum())

        return compute_constant_loss


class _SortedLabels:
    """Labels in their order, for which a center is found by halving in O(log rows) a step."""

    def __init__(self, truth: np.ndarray, delta: float) -> None:
        self._order = np.argsort(truth, kind="stable")
        self._sorted = truth[self._order].astype(np.float64)
        self._delta = delta

    def find_center(self, weight: np.ndarray) -> float:
        """Return the constant with the smallest loss: there the clipped errors add up to 0."""
        has_weight = weight[self._order] > 0
        labels, weight = self._sorted[has_weight], weight[self._order][has_weight]
        # Relative to a label in the middle, so that sums of far labels keep their digits.
        origin = labels[len(labels) // 2]
        labels = labels - origin
        weights = np.concatenate([[0.0], np.cumsum(weight)])
        sums = np.concatenate([[0.0], np.cumsum(weight * labels)])
        low, high = float(labels[0]), float(labels[-1])
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            first, last = np.searchsorted(labels, [middle - self._delta, middle + self._delta])
            inside = sums[last] - sums[first] - middle * (weights[last] - weights[first])
            outside = weights[-1] - weights[last] - weights[first]
            pull = inside + self._delta * outside
            low, high = (middle, high) if pull > 0 else (low, middle)
        return float(origin + (low + high) / 2)


def _compute_huber_losses(predicted: np.ndarray, truth: np.ndarray, delta: float) -> np.ndarray:
    """Return Huber's loss per row, float64 (rows,)."""
    error = np.abs(predicted.astype(np.float64) - truth)
    near = np.minimum(error, delta)
    losses: np.ndarray = near * (error - near / 2)
    return losses
