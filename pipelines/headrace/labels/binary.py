"""Define labels that are a condition, true or false: the network predicts its probability."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from headrace.labels.calibration import CalibrationError
from headrace.labels.curves import (
    SortedScores,
    compute_average_precision,
    compute_gini,
    compute_roc_auc,
)
from headrace.labels.kind import (
    FittedLabel,
    Form,
    LabelKind,
    LabelSummary,
    RowLosses,
    clip_probability,
)
from headrace.labels.scoring import (
    AVERAGES,
    EPSILON,
    PROBABILITY_LOSSES,
    average_classes,
    check_predictions,
    compute_roc_auc_by_ranks,
    count_rows,
    find_occurring_classes,
    list_directions,
    measure_classes,
)
from headrace.schema import ColumnType


class BinaryScorer:
    """A scorer of rows with a label of 0 or 1."""

    def __init__(self, label: np.ndarray, probability: np.ndarray, threshold: float) -> None:
        """Compute once what does not depend on weights.

        Args:
            label: 0 or 1, shape (rows,).
            probability: of label 1, shape (rows,), finite.
            threshold: a row is predicted to be positive from this probability on.

        Raises:
            ModelError: a probability is not finite, or there is no row.
        """
        check_predictions(label, probability)
        self.rows = len(label)
        self._truth = label.astype(np.int64)
        exact = probability.astype(np.float64)
        # Compared in float64, as the registered model does.
        predicted = (exact >= threshold).astype(np.int64)
        self._cell = self._truth * 2 + predicted
        self._occurring = find_occurring_classes(self._truth, predicted, 2)
        self._scores = SortedScores.from_rows(self._truth, probability)
        clipped = np.clip(exact, EPSILON, 1 - EPSILON)
        self._log_loss = -np.log(np.where(self._truth > 0, clipped, 1 - clipped))
        self._brier = (exact - self._truth) ** 2
        self._calibration = CalibrationError(exact, self._truth)

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        """Return the metrics under these weights, float64 (rows,).

        Returns:
            accuracy; precision, recall and f1 of label 1, and the same names ending in _macro,
            _micro and _weighted of both labels; log_loss, brier, calibration_error; roc_auc and
            pr_auc (average precision), and normalized_entropy, log_loss over that of the share of
            positives (He et al. 2014), where both labels have weight. Precision and recall are 0
            where nothing was predicted or nothing is positive.
        """
        matrix = np.bincount(self._cell, weight, 4).reshape(2, 2)
        precision, recall, f1 = measure_classes(matrix)
        total = weight.sum()
        metrics = {
            "accuracy": float(matrix.trace() / total),
            "precision": float(precision[1]),
            "recall": float(recall[1]),
            "f1": float(f1[1]),
            **average_classes(matrix, self._occurring),
            "log_loss": float(weight @ self._log_loss / total),
            "brier": float(weight @ self._brier / total),
            "calibration_error": self._calibration.measure_error(weight),
        }
        true, false = self._scores.sum_positive_weights(weight)
        if true[-1] > 0 and false[-1] > 0:
            metrics["roc_auc"] = compute_roc_auc(true, false)
            metrics["pr_auc"] = compute_average_precision(true, false)
            rare = min(true[-1], false[-1]) / total  # of the other label 1 - rare would be rounded
            entropy = -(rare * np.log(rare) + (1 - rare) * np.log1p(-rare))
            metrics["normalized_entropy"] = metrics["log_loss"] / float(entropy)
        return metrics

    def count_outcomes(self, weight: np.ndarray | None = None) -> dict[str, float]:
        """Return the number of rows, and the weight of positives and of the confusion matrix."""
        counts, weights = count_rows(self.rows, weight)
        tn, fp, fn, tp = np.bincount(self._cell, weights, 4)
        names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
        cells = dict(zip(names, map(float, (tn, fp, fn, tp)), strict=True))
        return {**counts, "positives": float(weights @ self._truth), **cells}

    def describe_labels(
        self, weight: np.ndarray, names: Sequence[str]
    ) -> list[dict[str, float | str]]:
        """Return an empty list: there is one label only."""
        return []


class Binary(LabelKind):
    """The kind of label that is a condition."""

    name = "binary"
    summary = "a condition"
    form = Form.PROBABILITY
    sql_types = frozenset({ColumnType.BOOLEAN})
    sql_hint = "boolean; write a condition, for example `label = 1`"
    metrics = list_directions(
        ("roc_auc", "pr_auc", "accuracy", "precision", "recall", "f1", *AVERAGES),
        (*PROBABILITY_LOSSES, "normalized_entropy"),
    )
    loss_metrics = list_directions(("d2_focal",), ("loss", "focal_loss"))
    undirected_metrics = (
        "rows", "positives", "true_negatives", "false_positives", "false_negatives",
        "true_positives",
    )  # fmt: skip
    main_metric = "roc_auc"
    validation_metrics = ("loss", "roc_auc", "accuracy")
    validation_curve = "roc_auc"
    tagged_metrics = ("roc_auc", "pr_auc", "f1", "log_loss", "accuracy", "f1_macro", "f1_micro")
    output = "probability"
    activation = "sigmoid"
    has_threshold = True
    has_positive_share = True
    ranks_lists = True
    leakage_limit = 0.95
    example_gate: ClassVar[Mapping[str, Any]] = {"metric": "roc_auc", "at_least": 0.7}
    prediction_types: ClassVar[Mapping[str, pa.DataType]] = {
        "prediction": pa.int64(),
        "probability": pa.float64(),
    }
    served_columns = ("probability", "prediction")

    def find_label_problem(self, summary: LabelSummary) -> str | None:
        """Return the message where all rows have the same label."""
        if summary.low != summary.high:
            return None
        only = ("false", "true")[int(summary.low)]
        return (
            f"every label of the train split is {only} ({summary.values:,} rows); "
            "there is nothing to learn"
        )

    def name_classes(self, label: FittedLabel) -> tuple[str, ...]:
        """Return the names of 0 and of 1."""
        return ("false", "true")

    def make_row_losses(self, label_smoothing: float = 0.0) -> RowLosses:
        """Return sigmoid cross-entropy."""
        import tensorflow as tf

        if not label_smoothing:
            return tf.nn.sigmoid_cross_entropy_with_logits

        def compute_smoothed_losses(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            smoothed = labels * (1 - label_smoothing) + label_smoothing / 2
            return tf.nn.sigmoid_cross_entropy_with_logits(smoothed, logits)

        return compute_smoothed_losses

    def compute_own_losses(self, predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Return the cross-entropy."""
        predicted = predicted.astype(np.float64)
        true_probability = np.where(truth > 0.5, predicted, 1 - predicted)
        return np.asarray(-np.log(clip_probability(true_probability)))

    def validate_predictions(
        self, truth: np.ndarray, predicted: np.ndarray, label: FittedLabel
    ) -> dict[str, float]:
        """Return accuracy at threshold 0.5, and roc_auc where both labels occur."""
        means = self.list_validation_means(truth, predicted, label)
        metrics = {name: float(np.mean(values)) for name, values in means.items()}
        if 0 < truth.sum() < len(truth):
            metrics["roc_auc"] = compute_roc_auc_by_ranks(truth, predicted)
        return metrics

    def list_validation_means(
        self, truth: np.ndarray, predicted: np.ndarray, label: FittedLabel
    ) -> Mapping[str, np.ndarray]:
        """Return which decisions are right at threshold 0.5, for accuracy."""
        return {"accuracy": (predicted >= 0.5) == (truth > 0.5)}

    def predict_columns(
        self, output: np.ndarray, label: FittedLabel, threshold: float
    ) -> dict[str, pa.Array]:
        """Return `prediction`, 0 or 1, and `probability`, that of 1."""
        positive = (output >= threshold).astype(np.int64)
        return {"prediction": pa.array(positive), "probability": pa.array(output)}

    def record_golden(
        self, output: np.ndarray, label: FittedLabel, tolerance: float
    ) -> dict[str, pa.Array]:
        """Return probabilities only: near the threshold, rounding decides the prediction."""
        return {"probability": pa.array(output.astype(np.float64))}

    def make_own_scorer(
        self, rows: Mapping[str, np.ndarray], label: FittedLabel, threshold: float
    ) -> BinaryScorer:
        """Return a `BinaryScorer`."""
        return BinaryScorer(rows["label"], rows["probability"], threshold)

    def measure_strength(
        self, truth: np.ndarray, guess: np.ndarray, fitted_truth: np.ndarray
    ) -> float:
        """Return 2 AUC - 1."""
        return compute_gini(truth, guess)
