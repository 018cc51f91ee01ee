"""Define labels that are one of several classes: the network predicts a probability per class."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.labels.calibration import CalibrationError
from headrace.labels.curves import SortedScores, compute_roc_auc
from headrace.labels.kind import (
    FittedLabel,
    Form,
    LabelKind,
    LabelSummary,
    RowLosses,
    Values,
    clip_probability,
)
from headrace.labels.scoring import (
    AVERAGES,
    EPSILON,
    MAX_CURVE_CELLS,
    PROBABILITY_LOSSES,
    average_classes,
    check_predictions,
    count_confusion,
    count_rows,
    find_occurring_classes,
    list_directions,
)
from headrace.schema import ColumnType

_TOP_COUNTS = (2, 3, 5)


class ClassesScorer:
    """A scorer of rows with one of several classes; the most probable one is the prediction."""

    def __init__(self, label: np.ndarray, probabilities: np.ndarray) -> None:
        """Compute once what does not depend on weights.

        Args:
            label: class positions, shape (rows,).
            probabilities: shape (rows, classes), finite.

        Raises:
            ModelError: a probability is not finite, or there is no row.
        """
        check_predictions(label, probabilities)
        self.rows = len(label)
        self._truth = label.astype(np.int64)
        self._classes = probabilities.shape[1]
        exact = probabilities.astype(np.float64)
        exact /= exact.sum(axis=1, keepdims=True)  # a float32 softmax adds up to 1 within 1e-6 only
        self._predicted = probabilities.argmax(axis=1)
        rows = np.arange(self.rows)
        true_probability = exact[rows, self._truth]
        self._log_loss = -np.log(np.clip(true_probability, EPSILON, 1 - EPSILON))
        self._brier = (exact**2).sum(axis=1) - 2 * true_probability + 1
        # Of equal probabilities the later class comes first, as in scikit-learn.
        own = probabilities[rows, self._truth][:, None]
        later = np.arange(self._classes) > self._truth[:, None]
        self._classes_before = ((probabilities > own) | ((probabilities == own) & later)).sum(
            axis=1
        )
        correct = (self._predicted == self._truth).astype(np.int64)
        self._calibration = CalibrationError(exact[rows, self._predicted], correct)
        self._curves = (
            [
                SortedScores.from_rows(self._truth == c, probabilities[:, c])
                for c in range(self._classes)
            ]
            if exact.size <= MAX_CURVE_CELLS
            else []
        )

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        """Return the metrics under these weights, float64 (rows,).

        Returns:
            accuracy; precision, recall and f1 ending in _macro, _micro and _weighted, over the
            classes that occur among labels or predictions, where a class that was never predicted
            has precision 0 and one that never occurs has recall 0; log_loss, brier (over all
            classes), calibration_error (of the predicted class); top_2, top_3, top_5 where there
            are more classes; roc_auc_ovr, the mean over classes of each against the rest, where
            every class has weight.
        """
        matrix = count_confusion(self._truth, self._predicted, weight, self._classes)
        total = weight.sum()
        metrics = {
            "accuracy": float(matrix.trace() / total),
            **average_classes(
                matrix, find_occurring_classes(self._truth, self._predicted, self._classes)
            ),
            "log_loss": float(weight @ self._log_loss / total),
            "brier": float(weight @ self._brier / total),
            "calibration_error": self._calibration.measure_error(weight),
        }
        for count in _TOP_COUNTS:
            if count < self._classes:
                within = self._classes_before < count
                metrics[f"top_{count}"] = float(weight @ within / total)
        if self._curves and (matrix.sum(axis=1) > 0).all():
            areas = [compute_roc_auc(*curve.sum_positive_weights(weight)) for curve in self._curves]
            metrics["roc_auc_ovr"] = float(np.mean(areas))
        return metrics

    def count_outcomes(self, weight: np.ndarray | None = None) -> dict[str, float]:
        """Return the number of rows, and their weight."""
        return count_rows(self.rows, weight)[0]

    def describe_labels(
        self, weight: np.ndarray, names: Sequence[str]
    ) -> list[dict[str, float | str]]:
        """Return an empty list: a row has one class only."""
        return []


class Classes(LabelKind):
    """The kind of label that is one of several classes."""

    name = "classes"
    summary = "a text or whole number, one of those of the train split"
    form = Form.CLASS
    values = Values.TEXT
    sql_types = frozenset({ColumnType.STRING, ColumnType.INTEGER, ColumnType.BOOLEAN})
    sql_hint = "a text or a whole number"
    dtype = "int32"
    metrics = list_directions(
        ("accuracy", "roc_auc_ovr", "top_2", "top_3", "top_5", *AVERAGES), PROBABILITY_LOSSES
    )
    loss_metrics = list_directions(("d2_focal",), ("loss", "focal_loss"))
    main_metric = "accuracy"
    validation_metrics = ("loss", "accuracy")
    tagged_metrics = ("accuracy", "f1_macro", "f1_micro", "log_loss")
    output = "probabilities"
    activation = "softmax"
    leakage_limit = 0.95
    example_gate: ClassVar[Mapping[str, Any]] = {"metric": "accuracy", "at_least": 0.7}
    class_nouns = "classes"
    prediction_types: ClassVar[Mapping[str, pa.DataType]] = {
        "prediction": pa.string(),
        "probability": pa.float64(),
    }
    served_columns = ("prediction", "probability")

    def find_label_problem(self, summary: LabelSummary) -> str | None:
        """Return the message where all rows have the same class."""
        if summary.distinct >= 2:
            return None
        (only,) = summary.examples
        return (
            f"every label of the train split is {only!r} ({summary.values:,} rows); "
            "there is nothing to learn"
        )

    def convert_labels(
        self, column: pa.ChunkedArray, label: FittedLabel
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return int32 positions of the classes, -1 for classes that are not in the spec.

        Args:
            column: texts, or what can be cast to them; (rows,).
            label: the fitted label.

        Returns:
            positions (rows,), and which rows have a class that is not in the spec, bool (rows,).
        """
        texts = pc.cast(column, pa.string()).combine_chunks()
        positions = pc.index_in(texts, value_set=pa.array(label.classes, pa.string()))
        if isinstance(positions, pa.ChunkedArray):
            positions = positions.combine_chunks()
        ids = pc.fill_null(positions, -1).to_numpy(zero_copy_only=False).astype(np.int32)
        return ids, ids < 0

    def make_row_losses(self, label_smoothing: float = 0.0) -> RowLosses:
        """Return softmax cross-entropy of int32 labels, class positions."""
        import tensorflow as tf

        if not label_smoothing:
            return tf.nn.sparse_softmax_cross_entropy_with_logits

        def compute_smoothed_losses(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            classes = logits.shape[-1]
            smoothed = tf.one_hot(labels, classes) * (1 - label_smoothing)
            smoothed += label_smoothing / classes
            return tf.nn.softmax_cross_entropy_with_logits(smoothed, logits)

        return compute_smoothed_losses

    def compute_own_losses(self, predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Return the cross-entropy."""
        true_probability = predicted.astype(np.float64)[np.arange(len(truth)), truth]
        return np.asarray(-np.log(clip_probability(true_probability)))

    def validate_predictions(
        self, truth: np.ndarray, predicted: np.ndarray, label: FittedLabel
    ) -> dict[str, float]:
        """Return accuracy: the share of rows whose most probable class is the label."""
        means = self.list_validation_means(truth, predicted, label)
        return {name: float(np.mean(values)) for name, values in means.items()}

    def list_validation_means(
        self, truth: np.ndarray, predicted: np.ndarray, label: FittedLabel
    ) -> Mapping[str, np.ndarray]:
        """Return which rows have their label as the most probable class, for accuracy."""
        return {"accuracy": predicted.argmax(axis=1) == truth}

    def bin_predictions(self, output: np.ndarray, threshold: float) -> np.ndarray:
        """Return positions of the most probable classes."""
        best: np.ndarray = output.argmax(axis=1)
        return best

    def predict_columns(
        self, output: np.ndarray, label: FittedLabel, threshold: float
    ) -> dict[str, pa.Array]:
        """Return `prediction`, the most probable class, and `probability`, that of this class."""
        best = output.argmax(axis=1)
        names = pa.array(label.classes, pa.string()).take(pa.array(best))
        return {"prediction": names, "probability": pa.array(output.max(axis=1))}

    def record_golden(
        self, output: np.ndarray, label: FittedLabel, tolerance: float
    ) -> dict[str, pa.Array]:
        """Return classes, null where rounding decides between two, and their probabilities."""
        best, ascending = output.argmax(axis=1), np.sort(output, axis=1)
        margin = ascending[:, -1] - ascending[:, -2:-1].max(axis=1, initial=0)
        clear = margin > 2 * tolerance
        names = [label.classes[i] if c else None for i, c in zip(best, clear, strict=True)]
        return {
            "prediction": pa.array(names, pa.string()),
            "probability": pa.array(output.max(axis=1).astype(np.float64)),
        }

    def make_own_scorer(
        self, rows: Mapping[str, np.ndarray], label: FittedLabel, threshold: float
    ) -> ClassesScorer:
        """Return a `ClassesScorer`."""
        return ClassesScorer(rows["label"], rows["probabilities"])

    def predict_own_constant(
        self, truth: np.ndarray, weight: np.ndarray, label: FittedLabel
    ) -> np.ndarray:
        """Return the share of each class, (classes,)."""
        counts = np.bincount(truth.astype(np.int64), weight, len(label.classes))
        return np.asarray(counts / weight.sum())

    def measure_strength(
        self, truth: np.ndarray, guess: np.ndarray, fitted_truth: np.ndarray
    ) -> float:
        """Return the share of errors that the guess saves over always the most frequent class."""
        most_frequent = np.bincount(fitted_truth.astype(np.int64)).argmax()
        errors, baseline_errors = np.mean(guess != truth), np.mean(truth != most_frequent)
        return float(np.clip(1 - errors / baseline_errors, 0, 1)) if baseline_errors > 0 else 0.0
