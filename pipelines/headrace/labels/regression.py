"""Define labels that are numbers: the network predicts the number, standardized as the label is."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from headrace.columns.histogram import widen_constant_range
from headrace.labels.kind import FittedLabel, Form, LabelKind, LabelSummary, RowLosses
from headrace.labels.quantiles import compute_weighted_quantiles
from headrace.labels.scoring import EPSILON, check_predictions, count_rows, list_directions
from headrace.schema import NUMBERS

NUMBER_ERRORS = (
    "mse", "half_mse", "rmse", "mae", "mape", "median_absolute_error", "absolute_error_p90",
    "absolute_error_p95", "absolute_error_p99", "largest_error", "mae_over_baseline",
)  # fmt: skip
"""Metrics of numbers of which lower values are better."""

LOSS_METRICS = list_directions(
    ("d2_pinball", "d2_absolute_error", "d2_huber"),
    ("loss", "pinball_loss", "coverage_error", "huber_loss", "loss_over_baseline"),
)
"""Metrics of numbers that come with a loss under `train.loss`."""


class NumberScorer:
    """A scorer of rows whose label and prediction are numbers, all in the label's own unit."""

    def __init__(
        self, truth: np.ndarray, predicted: np.ndarray, baseline: np.ndarray | None = None
    ) -> None:
        """Compute once what does not depend on weights.

        Args:
            truth, predicted: shape (rows,), float64.
            baseline: predictions without a model, shape (rows,).

        Raises:
            ModelError: a prediction is not finite, or there is no row.
        """
        check_predictions(truth, predicted)
        self.rows = len(truth)
        self._truth = truth.astype(np.float64)
        self._error = predicted.astype(np.float64) - self._truth
        self._absolute = np.abs(self._error)
        self._order = np.argsort(self._absolute, kind="stable")
        self._baseline = None if baseline is None else baseline.astype(np.float64) - self._truth

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        """Return the metrics under these weights, float64 (rows,).

        Returns:
            mse, half_mse (1/(2n) times the sum of squared errors), rmse, mae, mape (a share, not a
            percentage), bias (mean of prediction - label), quantiles of the absolute error:
            median_absolute_error, absolute_error_p90, _p95, _p99 and largest_error; r2 where the
            labels are not all the same. With a baseline: baseline_mae, baseline_rmse and, where the
            former is not 0, mae_over_baseline (below 1 the model is better).
        """
        total = weight.sum()
        squared = self._error**2
        mse = float(weight @ squared / total)
        mae = float(weight @ self._absolute / total)
        relative = self._absolute / np.maximum(np.abs(self._truth), EPSILON)
        metrics = {
            "mse": mse,
            "half_mse": mse / 2,
            "rmse": float(np.sqrt(mse)),
            "mae": mae,
            "mape": float(weight @ relative / total),
            "bias": float(weight @ self._error / total),
            **self._measure_quantiles(weight),
        }
        center = weight @ self._truth / total
        spread = float(weight @ (self._truth - center) ** 2)
        if np.ptp(self._truth[weight > 0]) > 0 and spread > 0:
            metrics["r2"] = float(1 - weight @ squared / spread)
        if self._baseline is not None:
            metrics["baseline_mae"] = float(weight @ np.abs(self._baseline) / total)
            metrics["baseline_rmse"] = float(np.sqrt(weight @ self._baseline**2 / total))
            if metrics["baseline_mae"] > 0:
                metrics["mae_over_baseline"] = mae / metrics["baseline_mae"]
        return metrics

    def count_outcomes(self, weight: np.ndarray | None = None) -> dict[str, float]:
        """Return the number of rows, and their weight."""
        return count_rows(self.rows, weight)[0]

    def describe_labels(
        self, weight: np.ndarray, names: Sequence[str]
    ) -> list[dict[str, float | str]]:
        """Return an empty list: the label is one number."""
        return []

    def _measure_quantiles(self, weight: np.ndarray) -> dict[str, float]:
        """Return quantiles of the absolute error under these weights, and the largest one."""
        errors, weight = self._absolute[self._order], weight[self._order]
        shares = {"median_absolute_error": 0.5}
        shares |= {f"absolute_error_p{q}": q / 100 for q in (90, 95, 99)}
        quantiles = compute_weighted_quantiles(errors, weight, list(shares.values()))
        return {
            **dict(zip(shares, quantiles.tolist(), strict=True)),
            "largest_error": float(errors[weight > 0][-1]),
        }


class Regression(LabelKind):
    """The kind of label that is a number."""

    name = "regression"
    summary = "a number"
    form = Form.NUMBER
    sql_types = NUMBERS
    sql_hint = "a number"
    metrics = list_directions(("r2",), NUMBER_ERRORS)
    loss_metrics = LOSS_METRICS
    undirected_metrics = ("rows", "bias", "baseline_mae", "baseline_rmse")
    main_metric = "mae"
    validation_metrics = ("loss", "mae")
    tagged_metrics: tuple[str, ...] = ("mae", "rmse", "r2", "mae_over_baseline")
    output = "value"
    activation = "linear"
    has_unit = True
    takes_baseline = True
    class_weight_problem = ("a regression has no classes", "")
    smoothing_problem = "spreads a label over classes; regression has none"
    # Higher than of other kinds: a value to forecast is often close to today's value.
    leakage_limit = 0.995
    example_gate: ClassVar[Mapping[str, Any]] = {"metric": "r2", "at_least": 0.3}
    prediction_types: ClassVar[Mapping[str, pa.DataType]] = {"prediction": pa.float64()}
    served_columns = ("prediction",)
    golden_is_scaled = True

    def find_label_problem(self, summary: LabelSummary) -> str | None:
        """Return the message where all rows have the same label."""
        if summary.low != summary.high:
            return None
        return (
            f"every label of the train split is {summary.low} ({summary.values:,} rows); "
            "there is nothing to learn"
        )

    def make_row_losses(self, label_smoothing: float = 0.0) -> RowLosses:
        """Return the squared error, in the unit of the label that the model is trained on."""
        import tensorflow as tf

        return tf.math.squared_difference

    def compute_own_losses(self, predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Return the squared error, in the unit of the label that the model is trained on."""
        return np.asarray(np.square(predicted.astype(np.float64) - truth))

    def validate_predictions(
        self, truth: np.ndarray, predicted: np.ndarray, label: FittedLabel
    ) -> dict[str, float]:
        """Return mae in the label's own unit."""
        error = np.abs(predicted.astype(np.float64) - truth)
        return {"mae": float(error.mean() * label.scale)}

    def list_validation_means(
        self, truth: np.ndarray, predicted: np.ndarray, label: FittedLabel
    ) -> Mapping[str, np.ndarray]:
        """Return absolute errors in the label's own unit, for mae."""
        return {"mae": np.abs(predicted.astype(np.float64) - truth) * label.scale}

    def convert_output(self, output: np.ndarray, label: FittedLabel) -> np.ndarray:
        """Return the numbers in the label's own unit, float64."""
        return output.astype(np.float64) * label.scale + label.center

    def find_prediction_range(self, output: np.ndarray) -> tuple[float, float]:
        """Return the range from the 0.5% to the 99.5% quantile."""
        return find_number_range(output)

    def predict_columns(
        self, output: np.ndarray, label: FittedLabel, threshold: float
    ) -> dict[str, pa.Array]:
        """Return `prediction`, the numbers."""
        return {"prediction": pa.array(output)}

    def record_golden(
        self, output: np.ndarray, label: FittedLabel, tolerance: float
    ) -> dict[str, pa.Array]:
        """Return the numbers, as `predict_columns` does."""
        return {"prediction": pa.array(output)}

    def make_own_scorer(
        self, rows: Mapping[str, np.ndarray], label: FittedLabel, threshold: float
    ) -> NumberScorer:
        """Return a `NumberScorer`."""
        truth, predicted = (self.convert_output(rows[n], label) for n in ("label", self.output))
        return NumberScorer(truth, predicted, rows.get("baseline"))

    def find_equal_labels(
        self,
        truth: np.ndarray,
        label: FittedLabel,
        other_truth: np.ndarray,
        other_label: FittedLabel,
    ) -> np.ndarray:
        """Return which numbers are equal up to the rounding of float32, bool (rows,).

        No scale is assumed: of labels near 1e-9 a difference of 1e-12 counts.
        """
        numbers = self.convert_output(truth, label)
        others = self.convert_output(other_truth, other_label)
        rounding = _bound_rounding(truth, label) + _bound_rounding(other_truth, other_label)
        return np.asarray(np.abs(numbers - others) <= rounding)

    def align_output(
        self, output: np.ndarray, label: FittedLabel, other_label: FittedLabel
    ) -> np.ndarray:
        """Return numbers in the unit of this label's model, float64."""
        if (label.center, label.scale) == (other_label.center, other_label.scale):
            return output
        return (self.convert_output(output, other_label) - label.center) / label.scale

    def measure_strength(
        self, truth: np.ndarray, guess: np.ndarray, fitted_truth: np.ndarray
    ) -> float:
        """Return R², the share of the variance that the guess explains."""
        return measure_r2(truth, guess)


def _bound_rounding(stored: np.ndarray, label: FittedLabel) -> np.ndarray:
    """Return by how much the numbers of a dataset differ from those of the lake, float64 (rows,).

    They are standardized in float64 and stored in float32: the smaller the number, the less, down
    to the smallest float32.
    """
    single, double = np.finfo(np.float32), np.finfo(np.float64)
    size = np.abs(stored.astype(np.float64))
    rounded = np.maximum(size * float(single.eps), float(single.smallest_subnormal)) * label.scale
    return np.asarray(rounded + 4 * double.eps * (size * label.scale + abs(label.center)))


def measure_r2(truth: np.ndarray, guess: np.ndarray) -> float:
    """Return the share of the variance that a guess explains, 0 to 1."""
    spread = ((truth - truth.mean()) ** 2).sum()
    return float(np.clip(1 - ((truth - guess) ** 2).sum() / spread, 0, 1)) if spread > 0 else 0.0


def find_number_range(numbers: np.ndarray) -> tuple[float, float]:
    """Return the 0.5% and the 99.5% quantile, or a margin around a constant."""
    low, high = (float(q) for q in np.quantile(numbers, [0.005, 0.995]))
    return widen_constant_range(low, high)
