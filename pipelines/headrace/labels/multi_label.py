"""Define labels that are any number of names: the network predicts a probability per name."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from headrace.labels.binary import Binary
from headrace.labels.curves import compute_gini
from headrace.labels.kind import FittedLabel, Form, LabelKind, LabelSummary, RowLosses, Values
from headrace.labels.label_texts import NONE, encode_labels, list_label_bins
from headrace.labels.multi_label_scorer import MultiLabelScorer
from headrace.labels.scoring import (
    AVERAGES,
    PROBABILITY_LOSSES,
    compute_roc_auc_by_ranks,
    list_directions,
)
from headrace.schema import ColumnType

MAX_LABELS = 5000
"""Labels of a dataset at most: each of its rows has a number per label."""
_MIN_ROWS_EACH_WAY = 10  # with a label, and without it, from which on its AUC says something


class MultiLabel(LabelKind):
    """The kind of label that is any number of names."""

    name = "multi_label"
    summary = (
        "an array of texts or whole numbers, any number of those of the train split, each by "
        "itself true or not; empty: none of them"
    )
    form = Form.PROBABILITY
    values = Values.TEXTS
    sql_types = frozenset({ColumnType.STRINGS, ColumnType.INTEGERS})
    sql_hint = (
        "an array of texts or whole numbers, for example `array_compact(array(IF(a, 'a', NULL), "
        "IF(b, 'b', NULL)))`"
    )
    metrics = list_directions(
        (
            "exact_match", "roc_auc_macro", "roc_auc_micro", "pr_auc_macro", "pr_auc_micro",
            *AVERAGES,
        ),
        ("hamming_loss", *PROBABILITY_LOSSES),
    )  # fmt: skip
    loss_metrics = list_directions(("d2_focal",), ("loss", "focal_loss"))
    undirected_metrics = ("rows", "positives")
    main_metric = "f1_micro"
    validation_metrics = ("loss", "roc_auc_macro", "f1_micro", "exact_match")
    tagged_metrics = ("exact_match", "f1_micro", "f1_macro", "roc_auc_macro", "log_loss")
    output = "probabilities"
    activation = "sigmoid"
    has_threshold = True
    class_weight_problem = (
        "a row of a multi_label has no class whose weight it could have",
        "use label.sample_weight",
    )
    leakage_limit = 0.95
    example_gate: ClassVar[Mapping[str, Any]] = {"metric": "f1_micro", "at_least": 0.5}
    class_nouns = "labels"
    first_bins = (NONE,)
    prediction_types: ClassVar[Mapping[str, pa.DataType]] = {
        "prediction": pa.list_(pa.string()),
        "probability": pa.map_(pa.string(), pa.float64()),
    }
    served_columns = ("prediction", "probability")

    def get_label_shape(self, label: FittedLabel) -> tuple[int, ...]:
        """Return the shape of a row's label: one number per name."""
        return (len(label.classes),)

    def find_label_problem(self, summary: LabelSummary) -> str | None:
        """Return the message where there are too few labels, too many, or all rows have all."""
        if summary.distinct < 2:
            names = ", ".join(map(repr, summary.examples)) or "none"
            return (
                "the train split has fewer than two labels, and a label of kind multi_label needs "
                f"two; there is {names}"
            )
        if summary.distinct > MAX_LABELS:
            return (
                f"the train split has {summary.distinct:,} different labels, and a row of a "
                f"dataset has a number for each, {MAX_LABELS:,} at most; keep the frequent ones, "
                "for example with filter(…)"
            )
        if summary.least_count == summary.rows:
            return (
                f"every row of the train split ({summary.rows:,}) has every label; "
                "there is nothing to learn"
            )
        return None

    def convert_labels(
        self, column: pa.ChunkedArray, label: FittedLabel
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return float32 (rows, labels) of 0 and 1, and which rows have a label not in the spec."""
        return encode_labels(column, label.classes)

    def bin_labels(self, label: np.ndarray) -> np.ndarray:
        """Return 1 + the position of each label of each row, 0 for rows without any."""
        return list_label_bins(label)

    def make_row_losses(self, label_smoothing: float = 0.0) -> RowLosses:
        """Return sigmoid cross-entropy, the mean over labels."""
        import tensorflow as tf

        losses = Binary().make_row_losses(label_smoothing)
        return lambda labels, logits: tf.reduce_mean(losses(labels, logits), axis=-1)

    def compute_own_losses(self, predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Return the cross-entropy of every label of every row, (rows, labels)."""
        return Binary().compute_own_losses(predicted, truth)

    def validate_predictions(
        self, truth: np.ndarray, predicted: np.ndarray, label: FittedLabel
    ) -> dict[str, float]:
        """Return exact_match and f1_micro at threshold 0.5, and roc_auc_macro.

        The latter is the mean over the labels that some rows have and some have not.
        """
        actual, positive = truth > 0.5, predicted >= 0.5
        count = int(actual.sum()) + int(positive.sum())
        metrics = {
            "exact_match": float((positive == actual).all(axis=1).mean()),
            "f1_micro": 2 * int((actual & positive).sum()) / count if count else 0.0,
        }
        both = actual.any(axis=0) & ~actual.all(axis=0)
        areas = [
            compute_roc_auc_by_ranks(actual[:, i], predicted[:, i]) for i in np.flatnonzero(both)
        ]
        return metrics | ({"roc_auc_macro": float(np.mean(areas))} if areas else {})

    def bin_predictions(self, output: np.ndarray, threshold: float) -> np.ndarray:
        """Return the bins of the labels whose probability reaches the threshold."""
        return list_label_bins(output.astype(np.float64) >= threshold)

    def predict_columns(
        self, output: np.ndarray, label: FittedLabel, threshold: float
    ) -> dict[str, pa.Array]:
        """Return `prediction`, lists of the labels from the threshold on, and `probability`.

        The latter is a map per row from every label to its probability.
        """
        positive = output >= threshold
        names = pa.array(label.classes, pa.string())
        count = len(label.classes)
        ends = np.append(0, positive.sum(axis=1).cumsum()).astype(np.int32)
        starts = np.arange(len(output) + 1, dtype=np.int32) * count
        keys = names.take(pa.array(np.tile(np.arange(count), len(output))))
        labels = names.take(pa.array(np.nonzero(positive)[1]))
        return {
            "prediction": pa.ListArray.from_arrays(ends, labels),
            "probability": pa.MapArray.from_arrays(starts, keys, pa.array(output.reshape(-1))),
        }

    def record_golden(
        self, output: np.ndarray, label: FittedLabel, tolerance: float
    ) -> dict[str, pa.Array]:
        """Return the probabilities of all labels."""
        return {"probability": pa.array(list(output.astype(np.float64)))}

    def make_own_scorer(
        self, rows: Mapping[str, np.ndarray], label: FittedLabel, threshold: float
    ) -> MultiLabelScorer:
        """Return a `MultiLabelScorer`."""
        return MultiLabelScorer(rows["label"], rows["probabilities"], threshold)

    def measure_strength(
        self, truth: np.ndarray, guess: np.ndarray, fitted_truth: np.ndarray
    ) -> float:
        """Return 2 AUC - 1 of the label that the guess predicts best."""
        enough = np.minimum(truth.sum(axis=0), (1 - truth).sum(axis=0)) >= _MIN_ROWS_EACH_WAY
        pairs = ((truth[:, i], guess[:, i]) for i in np.flatnonzero(enough))
        return max((compute_gini(*pair) for pair in pairs), default=0.0)
