"""Define the interface that every loss under `train.loss` implements, a module per loss."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from headrace.errors import Problem
from headrace.labels.kind import FittedLabel, LabelKind, RowLosses
from headrace.labels.scorer import Scorer
from headrace.recipe_section import Section

if TYPE_CHECKING:
    import tensorflow as tf

ConstantLoss = Callable[[np.ndarray], float]
"""From the weights of rows, float64 (rows,), to the mean loss of the best constant on them."""

WHERE = "train.loss"
"""The recipe's key, for problems."""


class Loss(Section):
    """Base of the sections under `train.loss`.

    Attributes:
        label_kinds: names of the kinds of label that it fits.
        metric: its own metric: the mean over rows, in the label's own unit.
        d2: name of the share of the best constant's loss that a model saves; "" where there is
            none, or the kind of label has it under another name.
        is_mean: whether a model predicts the mean with it, or nearly so, and the metrics of the
            label's kind say something about the model.
        takes_smoothing: whether `train.label_smoothing` may be set.
        may_be_undefined: whether it may be infinite, or no number, for the zeros of padding rows.
    """

    label_kinds: ClassVar[tuple[str, ...]]
    metric: ClassVar[str]
    d2: ClassVar[str] = ""
    is_mean: ClassVar[bool] = True
    takes_smoothing: ClassVar[bool] = False
    may_be_undefined: ClassVar[bool] = False
    if TYPE_CHECKING:  # declared by each loss, where its keys are to stand
        kind: str

    # --- the recipe -------------------------------------------------------------------------------
    def find_problems(self, label_kind: str) -> list[Problem]:
        """Return why its keys cannot be used with a label of this kind, which it fits."""
        return []

    def list_metrics(self, kind: LabelKind) -> tuple[str, ...]:
        """Return the metrics by which models may be compared, of a kind that it fits."""
        own = [name for name in (self.metric, self.d2) if name]
        if kind.takes_baseline:
            own.append("loss_over_baseline")
        return (*dict.fromkeys([*(kind.metrics if self.is_mean else ()), *own]),)

    def choose_main_metric(self, kind: LabelKind) -> str:
        """Return the metric that orders slices and features where the recipe names none."""
        return self.metric

    def list_validation_metrics(self, kind: LabelKind) -> tuple[str, ...]:
        """Return the metrics that are computed after every epoch."""
        return kind.validation_metrics if self.is_mean else ("loss",)

    @property
    def quantile_level(self) -> float | None:
        """Return the level of the quantile that a model predicts; None of a mean or a median."""
        return None

    # --- the network ------------------------------------------------------------------------------
    def make_row_losses(
        self, kind: LabelKind, label: FittedLabel, label_smoothing: float = 0.0
    ) -> RowLosses:
        """Return the function from labels and logits, tensors, to a loss per row, (batch,).

        Args:
            kind, label: the label, standardized or not.
            label_smoothing: see `LabelKind.make_row_losses`.
        """
        raise NotImplementedError

    def compute_row_losses(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the loss that was trained per row, float64 (rows,).

        Args:
            predicted: the model's output, (rows,) or (rows, classes).
            truth: labels as the dataset has them.
            kind, label: the label.
        """
        raise NotImplementedError

    # --- evaluation -------------------------------------------------------------------------------
    def measure_rows(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the loss per row of which `metric` is the mean, float64 (rows,).

        Args:
            predicted: converted output: probabilities, or numbers in the label's own unit.
            truth: labels likewise.
            kind, label: the label.
        """
        raise NotImplementedError

    def predict_constant(
        self, truth: np.ndarray, weight: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the constant output with the smallest mean loss, float64 () or (classes,).

        Args:
            truth: labels as the dataset has them.
            weight: of the rows, float64 (rows,); not all 0.
            kind, label: the label.
        """
        raise NotImplementedError

    def prepare_constant_loss(
        self, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> ConstantLoss | None:
        """Prepare the mean loss of the best constant on the rows themselves, for `d2`.

        Args:
            truth: labels, numbers in their own unit, (rows,) or (rows, labels).
            kind, label: the label.
        """
        return None

    def measure_further(
        self, predicted: np.ndarray, truth: np.ndarray, weight: np.ndarray
    ) -> dict[str, float]:
        """Return metrics of its own beside `metric` and `d2`.

        Args:
            predicted, truth: in the label's own unit, (rows,).
            weight: of the rows, float64 (rows,).
        """
        return {}

    def extend_scorer(
        self,
        scorer: Scorer,
        rows: Mapping[str, np.ndarray],
        kind: LabelKind,
        label: FittedLabel,
    ) -> Scorer:
        """Return a scorer with the metrics of this loss.

        Args:
            scorer: of the label's kind.
            rows: see `LabelKind.make_scorer`.
            kind, label: the label.
        """
        return LossScorer(self, scorer, rows, kind, label)


class LossScorer:
    """A scorer of rows by the loss that was trained, and by the label's kind where that fits."""

    def __init__(
        self,
        loss: Loss,
        scorer: Scorer,
        rows: Mapping[str, np.ndarray],
        kind: LabelKind,
        label: FittedLabel,
    ) -> None:
        """Compute once what does not depend on weights; see `Loss.extend_scorer`."""
        self._loss, self._scorer, self.rows = loss, scorer, scorer.rows
        self._truth, self._predicted = (
            kind.convert_output(rows[name], label) if kind.takes_baseline else rows[name]
            for name in ("label", kind.output)
        )
        self._losses = loss.measure_rows(self._predicted, self._truth, kind, label)
        self._compute_constant_loss = loss.prepare_constant_loss(self._truth, kind, label)
        self._baseline_losses = None
        if "baseline" in rows:
            baseline = rows["baseline"].astype(np.float64)
            self._baseline_losses = loss.measure_rows(baseline, self._truth, kind, label)

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        """Return the metrics under these weights, float64 (rows,).

        Returns:
            those of the label's kind where `is_mean`; the loss's `metric`, and what it measures
            further; `d2`, 1 - loss / loss of the best constant on these rows, where that is not 0.
            With a baseline: the baseline's loss (`baseline_` and the metric's name), and
            loss_over_baseline where it is not 0.
        """
        loss, total = self._loss, weight.sum()
        metrics = self._scorer(weight) if loss.is_mean else {}
        value = float(weight @ self._losses / total)
        metrics = {**metrics, loss.metric: value}
        if self._compute_constant_loss is not None:
            of_constant = self._compute_constant_loss(weight)
            if of_constant > 0:
                metrics[loss.d2] = 1 - value / of_constant
        metrics |= loss.measure_further(self._predicted, self._truth, weight)
        if self._baseline_losses is not None:
            of_baseline = float(weight @ self._baseline_losses / total)
            metrics[f"baseline_{loss.metric}"] = of_baseline
            if of_baseline > 0:
                metrics["loss_over_baseline"] = value / of_baseline
        return metrics

    def count_outcomes(self, weight: np.ndarray | None = None) -> dict[str, float]:
        """Return what the scorer of the label's kind counts."""
        return self._scorer.count_outcomes(weight)

    def describe_labels(
        self, weight: np.ndarray, names: Sequence[str]
    ) -> list[dict[str, float | str]]:
        """Return the table of labels of the scorer of the label's kind."""
        return self._scorer.describe_labels(weight, names)


def activate_number(kind: LabelKind, logits: "tf.Tensor") -> Any:
    """Return the numbers that logits stand for, tensors (batch,): themselves, or rates."""
    import tensorflow as tf

    return tf.exp(logits) if kind.activation == "exponential" else logits
