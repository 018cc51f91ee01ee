"""Define the pinball loss, whose best constant is a quantile (Koenker and Bassett 1978)."""

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from headrace.labels.kind import FittedLabel, LabelKind, RowLosses
from headrace.labels.losses.loss import ConstantLoss, Loss, activate_number
from headrace.labels.quantiles import compute_weighted_quantiles

if TYPE_CHECKING:
    import tensorflow as tf


class Quantile(Loss):
    """The pinball loss: the model predicts the quantile of this level, not the mean.

    Of an error label - prediction it is `level` times the error, or `level - 1` times it where that
    is negative.
    """

    kind: Literal["quantile"]
    level: Annotated[float, Field(gt=0, lt=1)]
    """Share of the labels that are to lie at or below the prediction: 0.9 is the 90% quantile."""

    label_kinds = ("regression", "count")
    metric = "pinball_loss"
    d2 = "d2_pinball"
    is_mean = False

    def list_metrics(self, kind: LabelKind) -> tuple[str, ...]:
        """Return its own metrics; of the median also mae."""
        more = ("mae",) if self.level == 0.5 else ()
        return (*super().list_metrics(kind), "coverage_error", *more)

    @property
    def quantile_level(self) -> float | None:
        """Return the level; None of the median, which is compared with means."""
        return None if self.level == 0.5 else self.level

    def make_row_losses(
        self, kind: LabelKind, label: FittedLabel, label_smoothing: float = 0.0
    ) -> RowLosses:
        """Return the pinball loss, in the unit of the label that the model is trained on."""
        import tensorflow as tf

        level = self.level

        def compute_row_losses(labels: "tf.Tensor", logits: "tf.Tensor") -> "tf.Tensor":
            error = labels - activate_number(kind, logits)
            return tf.maximum(level * error, (level - 1) * error)

        return compute_row_losses

    def compute_row_losses(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the same per row, float64."""
        return compute_pinball_losses(predicted, truth, self.level)

    def measure_rows(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the pinball loss in the label's own unit."""
        return compute_pinball_losses(predicted, truth, self.level)

    def predict_constant(
        self, truth: np.ndarray, weight: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the quantile of the labels."""
        order = np.argsort(truth, kind="stable")
        numbers = truth[order].astype(np.float64)
        return np.asarray(compute_weighted_quantiles(numbers, weight[order], [self.level])[0])

    def prepare_constant_loss(
        self, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> ConstantLoss:
        """Prepare the pinball loss of the quantile of the labels."""
        return prepare_quantile_loss(truth, self.level)

    def measure_further(
        self, predicted: np.ndarray, truth: np.ndarray, weight: np.ndarray
    ) -> dict[str, float]:
        """Return coverage, the share of labels at or below the prediction, and coverage_error.

        The latter is its distance from the level. Of the median also mae, twice the pinball loss.
        """
        total = weight.sum()
        coverage = float(weight @ (truth <= predicted) / total)
        metrics = {"coverage": coverage, "coverage_error": abs(coverage - self.level)}
        if self.level == 0.5:
            metrics["mae"] = float(weight @ np.abs(truth - predicted) / total)
        return metrics


class AbsoluteError(Loss):
    """The absolute error: the model predicts the median."""

    kind: Literal["absolute_error"]

    label_kinds = ("regression", "count")
    metric = "mae"
    d2 = "d2_absolute_error"

    def make_row_losses(
        self, kind: LabelKind, label: FittedLabel, label_smoothing: float = 0.0
    ) -> RowLosses:
        """Return the absolute error, in the unit of the label that the model is trained on."""
        import tensorflow as tf

        def compute_row_losses(labels: "tf.Tensor", logits: "tf.Tensor") -> "tf.Tensor":
            return tf.abs(labels - activate_number(kind, logits))

        return compute_row_losses

    def compute_row_losses(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the same per row, float64."""
        return 2 * compute_pinball_losses(predicted, truth, 0.5)

    def measure_rows(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the absolute error in the label's own unit."""
        return 2 * compute_pinball_losses(predicted, truth, 0.5)

    def predict_constant(
        self, truth: np.ndarray, weight: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the median of the labels."""
        return Quantile(kind="quantile", level=0.5).predict_constant(truth, weight, kind, label)

    def prepare_constant_loss(
        self, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> ConstantLoss:
        """Prepare the absolute error of the median of the labels."""
        of_median = prepare_quantile_loss(truth, 0.5)
        return lambda weight: 2 * of_median(weight)


def compute_pinball_losses(predicted: np.ndarray, truth: np.ndarray, level: float) -> np.ndarray:
    """Return the pinball loss per row, float64 (rows,)."""
    error = truth - predicted.astype(np.float64)
    losses: np.ndarray = np.maximum(level * error, (level - 1) * error)
    return losses


def prepare_quantile_loss(truth: np.ndarray, level: float) -> ConstantLoss:
    """Prepare the mean pinball loss of the quantile of the rows, by their weights.

    Args:
        truth: labels, (rows,).
        level: of the quantile.
    """
    order = np.argsort(truth, kind="stable")
    numbers = truth[order].astype(np.float64)

    def compute_constant_loss(weight: np.ndarray) -> float:
        weight = weight[order]
        constant = compute_weighted_quantiles(numbers, weight, [level])
        losses = compute_pinball_losses(constant, numbers, level)
        return float(weight @ losses / weight.sum())

    return compute_constant_loss
