"""Define the losses that a kind of label has by itself: `LabelKind` computes them."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from headrace.labels.kind import FittedLabel, LabelKind, RowLosses
from headrace.labels.losses.loss import Loss, activate_number

if TYPE_CHECKING:
    import tensorflow as tf


class CrossEntropy(Loss):
    """The negative logarithm of the label's probability. What condition and classes have."""

    kind: Literal["cross_entropy"]

    label_kinds = ("binary", "classes", "multi_label")
    metric = "log_loss"
    takes_smoothing = True


class Poisson(Loss):
    """The negative logarithm of the Poisson likelihood of a rate. What counts have."""

    kind: Literal["poisson"]

    label_kinds = ("count",)
    metric = "poisson_deviance"


class SquaredError(Loss):
    """The squared error, whose best constant is the mean. What a regression has."""

    kind: Literal["squared_error"]

    label_kinds = ("regression", "count")
    metric = "mse"

    def make_row_losses(
        self, kind: LabelKind, label: FittedLabel, label_smoothing: float = 0.0
    ) -> RowLosses:
        """Return the squared error, in the unit of the label that the model is trained on."""
        import tensorflow as tf

        def compute_row_losses(labels: "tf.Tensor", logits: "tf.Tensor") -> "tf.Tensor":
            return tf.math.squared_difference(labels, activate_number(kind, logits))

        return compute_row_losses

    def compute_row_losses(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the same per row, float64."""
        return np.square(predicted.astype(np.float64) - truth)

    def measure_rows(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the squared error in the square of the label's own unit."""
        return np.square(predicted.astype(np.float64) - truth)

    def predict_constant(
        self, truth: np.ndarray, weight: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the mean."""
        return np.asarray(np.average(truth.astype(np.float64), weights=weight))
