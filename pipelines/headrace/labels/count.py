"""A label that counts events: the network gives the rate of a Poisson distribution."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from headrace.errors import LakeError
from headrace.labels.deviance import SMALLEST_RATE, compute_poisson_deviances
from headrace.labels.kind import FittedLabel, LabelSummary, RowLosses
from headrace.labels.regression import NUMBER_ERRORS, NumberScorer, Regression
from headrace.labels.scoring import list_directions
from headrace.number_text import format_exact
from headrace.schema import ColumnType


class CountScorer(NumberScorer):
    """Scores rows whose label is a count and whose prediction is a rate."""

    def __init__(
        self, truth: np.ndarray, predicted: np.ndarray, baseline: np.ndarray | None = None
    ) -> None:
        """
        Args:
            truth, predicted: shape (rows,), 0 or more.
            baseline: the prediction of somebody without a model, shape (rows,).

        Raises:
            ModelError: a prediction is not finite, or there is no row.
        """
        super().__init__(truth, predicted, baseline)
        self._counts = truth.astype(np.float64)
        self._deviance = compute_poisson_deviances(predicted, self._counts)

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        """Return the metrics of `NumberScorer`, poisson_deviance and d2_poisson.

        The former is the mean over rows, the latter the share of the deviance of the mean rate that
        is saved, where that is not 0.
        """
        total = weight.sum()
        deviance = float(weight @ self._deviance / total)
        metrics = {**super().__call__(weight), "poisson_deviance": deviance}
        mean_rate = np.asarray(weight @ self._counts / total)
        of_mean = float(weight @ compute_poisson_deviances(mean_rate, self._counts) / total)
        if np.ptp(self._counts[weight > 0]) > 0 and of_mean > 0:
            metrics["d2_poisson"] = 1 - deviance / of_mean
        return metrics


class Count(Regression):
    """Defines labels that are counts."""

    name = "count"
    summary = "a number of events, 0 or more"
    sql_types = frozenset({ColumnType.INTEGER, ColumnType.REAL})
    sql_hint = "a number of events, 0 or more"
    metrics = list_directions(("r2", "d2_poisson"), (*NUMBER_ERRORS, "poisson_deviance"))
    main_metric = "poisson_deviance"
    tagged_metrics = (*Regression.tagged_metrics, "poisson_deviance")
    activation = "exponential"
    has_unit = False
    class_weight_problem = ("a count has no classes", "use label.sample_weight")
    smoothing_problem = "spreads a label over classes; a count has none"
    example_gate: ClassVar[Mapping[str, Any]] = {"metric": "r2", "at_least": 0.1}

    def find_label_problem(self, summary: LabelSummary) -> str | None:
        """Return the message where a label is negative, or all rows have the same label."""
        if summary.low < 0:
            return (
                "a label of kind count is 0 or more, and the smallest of the train split is "
                f"{format_exact(summary.low)}"
            )
        return super().find_label_problem(summary)

    def convert_labels(
        self, column: pa.ChunkedArray, label: FittedLabel
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the counts as float32; no label is unknown.

        Raises:
            LakeError: one of them is negative.
        """
        counts = column.to_numpy()
        if len(counts) and counts.min() < 0:
            raise LakeError(
                f"label.expression gives {format_exact(counts.min())}, and a label of kind count "
                "is 0 or more"
            )
        return super().convert_labels(column, label)

    def make_row_losses(self, label_smoothing: float = 0.0) -> RowLosses:
        """Return the negative logarithm of the Poisson likelihood, without its constant term."""
        import tensorflow as tf

        return tf.nn.log_poisson_loss

    def compute_own_losses(self, predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Return the same loss, of rates."""
        rates = np.maximum(predicted.astype(np.float64), SMALLEST_RATE)
        return np.asarray(rates - truth * np.log(rates))

    def make_own_scorer(
        self, rows: Mapping[str, np.ndarray], label: FittedLabel, threshold: float
    ) -> CountScorer:
        """Return a `CountScorer`."""
        return CountScorer(rows["label"], rows[self.output], rows.get("baseline"))
