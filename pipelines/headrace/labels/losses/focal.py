"""Define the focal loss, cross-entropy that turns to hard rows (Lin et al. 2017)."""

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from headrace.errors import Problem
from headrace.labels.kind import FittedLabel, LabelKind, RowLosses, clip_probability
from headrace.labels.losses.loss import WHERE, ConstantLoss, Loss
from headrace.recipe_section import NotNegative

if TYPE_CHECKING:
    import tensorflow as tf

# The largest logarithm of a probability of which 1 - p has one, too, in float32.
_LARGEST_LOG = -1e-7
# Points at which the slope of the loss is tabulated, by the logit of the probability.
_LOGITS = np.linspace(-30.0, 30.0, 60_001)
_HALVINGS = 60


class Focal(Loss):
    """Cross-entropy times (1 - p) ** gamma, where p is the probability of the label that is true.

    Rows that are right already count less. Probabilities come out less extreme than shares are
    (Mukhoti et al. 2020, arXiv:2002.09437): look at the calibration before you use them as such.
    """

    kind: Literal["focal"]
    gamma: NotNegative = 2.0
    """0 is cross-entropy."""
    alpha: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Factor of the loss where the label is true, and 1 - alpha where it is not; none by default.
    Of a condition and of each of several labels: classes have `label.class_weight`."""

    label_kinds = ("binary", "classes", "multi_label")
    metric = "focal_loss"
    d2 = "d2_focal"
    takes_smoothing = True

    def find_problems(self, label_kind: str) -> list[Problem]:
        """Return the problem of an alpha for classes."""
        if self.alpha is None or label_kind != "classes":
            return []
        return [
            Problem(
                f"{WHERE}.alpha",
                "tells true from false, and a label of kind classes has classes",
                "remove it, and give label.class_weight",
            )
        ]

    def choose_main_metric(self, kind: LabelKind) -> str:
        """Return the metric of the label's kind: a model is used by its decisions."""
        return kind.main_metric

    def make_row_losses(
        self, kind: LabelKind, label: FittedLabel, label_smoothing: float = 0.0
    ) -> RowLosses:
        """Return the loss of logits: of classes by softmax, of several labels the mean over them.

        Powers are taken of logarithms, so that neither a probability of 1 nor a gamma below 1 gives
        a gradient that is not finite.
        """
        if kind.name == "classes":
            return self._make_losses_of_classes(label_smoothing)
        import tensorflow as tf

        gamma, (positive, negative) = self.gamma, self._list_factors()

        def compute_row_losses(labels: "tf.Tensor", logits: "tf.Tensor") -> "tf.Tensor":
            labels = labels * (1 - label_smoothing) + label_smoothing / 2
            log_true, log_false = tf.math.log_sigmoid(logits), tf.math.log_sigmoid(-logits)
            losses = -positive * labels * tf.exp(gamma * log_false) * log_true
            losses -= negative * (1 - labels) * tf.exp(gamma * log_true) * log_false
            return tf.reduce_mean(losses, axis=-1) if kind.name == "multi_label" else losses

        return compute_row_losses

    def _make_losses_of_classes(self, label_smoothing: float) -> RowLosses:
        import tensorflow as tf

        def compute_row_losses(labels: "tf.Tensor", logits: "tf.Tensor") -> "tf.Tensor":
            classes = logits.shape[-1]
            shares = tf.one_hot(labels, classes) * (1 - label_smoothing)
            shares += label_smoothing / classes
            log_true = tf.nn.log_softmax(logits)
            log_false = tf.math.log(-tf.math.expm1(tf.minimum(log_true, _LARGEST_LOG)))
            return -tf.reduce_sum(shares * tf.exp(self.gamma * log_false) * log_true, axis=-1)

        return compute_row_losses

    def compute_row_losses(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the loss of probabilities per row, float64; without smoothing, as the kind's."""
        return self.measure_rows(predicted, truth, kind, label)

    def measure_rows(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the loss of probabilities per row; of several labels the mean over them."""
        if kind.name == "classes":
            return _focus(predicted[np.arange(len(truth)), truth.astype(np.int64)], self.gamma)
        positive, negative = self._list_factors()
        is_true = truth > 0.5
        of_label = np.where(is_true, predicted, 1 - predicted.astype(np.float64))
        losses: np.ndarray = np.where(is_true, positive, negative) * _focus(of_label, self.gamma)
        return losses.mean(axis=1) if losses.ndim == 2 else losses

    def predict_constant(
        self, truth: np.ndarray, weight: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the probabilities with the smallest loss: those of the shares, less extreme."""
        probabilities = self._find_best(self._share_labels(truth, weight, kind, label))
        if kind.name == "classes":
            return probabilities[0]
        return (
            probabilities[:, 1] if kind.name == "multi_label" else np.asarray(probabilities[0, 1])
        )

    def prepare_constant_loss(
        self, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> ConstantLoss:
        """Prepare the loss of the best constant, which depends on the labels' shares alone."""

        def compute_constant_loss(weight: np.ndarray) -> float:
            shares = self._share_labels(truth, weight, kind, label)
            losses = shares * _focus(self._find_best(shares), self.gamma)
            return float(losses.sum(axis=1).mean())

        return compute_constant_loss

    def _list_factors(self) -> tuple[float, float]:
        """Return the factors of true and of false labels."""
        return (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)

    def _share_labels(
        self, truth: np.ndarray, weight: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the shares of classes times their factors, (1, classes).

        Of true and false labels they are (labels, 2), false first.
        """
        if kind.name == "classes":
            counts = np.bincount(truth.astype(np.int64), weight, len(label.classes))
            return counts[None] / weight.sum()
        share = weight @ (truth.reshape(len(truth), -1) > 0.5) / weight.sum()
        positive, negative = self._list_factors()
        return np.stack([negative * (1 - share), positive * share], axis=1)

    def _find_best(self, shares: np.ndarray) -> np.ndarray:
        """Return the probabilities with the smallest loss, a row per problem, adding up to 1.

        The loss is convex in them. At the best ones share times slope is the same for all classes;
        that number is found by halving, the probabilities of a slope in a table.

        Args:
            shares: (problems, classes), 0 or more and not all 0.
        """
        probability = 1 / (1 + np.exp(-_LOGITS))
        other = 1 / (1 + np.exp(_LOGITS))
        slope = other**self.gamma / probability
        slope += self.gamma * other ** (self.gamma - 1) * np.logaddexp(0, -_LOGITS)
        log_slope = np.log(slope)[::-1]  # rising; falls as the probability rises
        with np.errstate(divide="ignore"):
            log_shares = np.log(shares)
        low, high = np.full((len(shares), 1), -800.0), np.full((len(shares), 1), 100.0)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            logits = np.interp(middle - log_shares, log_slope, _LOGITS[::-1])
            total = np.where(shares > 0, 1 / (1 + np.exp(-logits)), 0).sum(axis=1, keepdims=True)
            low, high = np.where(total > 1, middle, low), np.where(total > 1, high, middle)
        logits = np.interp((low + high) / 2 - log_shares, log_slope, _LOGITS[::-1])
        best = np.where(shares > 0, 1 / (1 + np.exp(-logits)), 0)
        result: np.ndarray = best / best.sum(axis=1, keepdims=True)
        return result


def _focus(probability: np.ndarray, gamma: float) -> np.ndarray:
    """Return the focal loss of the probabilities of what is true, float64."""
    clipped = clip_probability(probability)
    losses: np.ndarray = -np.log(clipped) * (1 - clipped) ** gamma
    return losses
