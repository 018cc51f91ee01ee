"""Exact metrics by the label's kind, over all rows at once, in float64, with weights.

Definitions are scikit-learn's; equal to it within 1e-9 (`tests/evaluate/test_metrics.py`). They are
made here because a bootstrap asks for them hundreds of times of the same rows with other weights:
what does not depend on weights (the order by score, losses a row) is made once, a resampling then
costs a few sums over the rows.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from headrace.errors import ModelError
from headrace.evaluate.calibration import Calibration
from headrace.evaluate.curves import Ranked, average_precision, roc_auc
from headrace.evaluate.multi_label_metrics import CURVE_CELLS, EPSILON, LabelsScorer, ratio
from headrace.models.reference import in_own_unit
from headrace.transform.spec import LabelSpec

_TOPS = (2, 3, 5)


class Scorer(Protocol):
    """Rows and predictions, made ready to be weighed."""

    rows: int

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        """Metrics with these weights, float64 (rows,); those that are not defined are left out."""


class BinaryScorer:
    """Of a label of 0 and 1."""

    def __init__(self, label: np.ndarray, probability: np.ndarray, threshold: float) -> None:
        """
        Args:
            label: 0 or 1, shape (rows,).
            probability: of label 1, shape (rows,), finite.
            threshold: a row counts as positive from this probability on.

        Raises:
            ModelError: a probability is not finite, or there is no row.
        """
        _check(label, probability)
        self.rows = len(label)
        self._truth = label.astype(np.int64)
        exact = probability.astype(np.float64)
        # In float64, as the registered model compares.
        self._predicted = (exact >= threshold).astype(np.int64)
        self._ranked = Ranked.of(self._truth, probability)
        clipped = np.clip(exact, EPSILON, 1 - EPSILON)
        self._log_loss = -np.log(np.where(self._truth > 0, clipped, 1 - clipped))
        self._brier = (exact - self._truth) ** 2
        self._calibration = Calibration(exact, self._truth)

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        """Metrics.

        Returns:
            accuracy; precision, recall and f1 of label 1, and likewise ending in _macro, _micro and
            _weighted of both labels; log_loss, brier, calibration_error; roc_auc and pr_auc
            (average precision) where both labels have weight. Precision and recall are 0 where
            nothing was predicted or nothing was there.
        """
        matrix = _matrix(self._truth, self._predicted, weight, 2)
        precision, recall, f1 = _of_each(matrix)
        total = weight.sum()
        found = {
            "accuracy": float(matrix.trace() / total),
            "precision": float(precision[1]),
            "recall": float(recall[1]),
            "f1": float(f1[1]),
            **_averages(matrix, _occurring(self._truth, self._predicted, 2)),
            "log_loss": float(weight @ self._log_loss / total),
            "brier": float(weight @ self._brier / total),
            "calibration_error": self._calibration.error(weight),
        }
        true, false = self._ranked.counts(weight)
        if true[-1] > 0 and false[-1] > 0:
            found["roc_auc"] = roc_auc(true, false)
            found["pr_auc"] = average_precision(true, false)
        return found

    def counts(self) -> dict[str, float]:
        """Rows, positives and the confusion matrix, unweighted."""
        (tn, fp), (fn, tp) = _matrix(self._truth, self._predicted, np.ones(self.rows), 2)
        names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
        counted = dict(zip(names, map(float, (tn, fp, fn, tp)), strict=True))
        return {"rows": float(self.rows), "positives": float(self._truth.sum()), **counted}


class ClassesScorer:
    """Of several classes; the most probable one is the prediction."""

    def __init__(self, label: np.ndarray, probabilities: np.ndarray) -> None:
        """
        Args:
            label: class positions, shape (rows,).
            probabilities: shape (rows, classes), finite.

        Raises:
            ModelError: a probability is not finite, or there is no row.
        """
        _check(label, probabilities)
        self.rows = len(label)
        self._truth = label.astype(np.int64)
        self._classes = probabilities.shape[1]
        exact = probabilities.astype(np.float64)
        exact /= exact.sum(axis=1, keepdims=True)  # a float32 softmax adds up to 1 within 1e-6 only
        self._predicted = probabilities.argmax(axis=1)
        rows = np.arange(self.rows)
        of_truth = exact[rows, self._truth]
        self._log_loss = -np.log(np.clip(of_truth, EPSILON, 1 - EPSILON))
        self._brier = (exact**2).sum(axis=1) - 2 * of_truth + 1
        # Of equal probabilities the later class comes first, as in scikit-learn.
        given = probabilities[rows, self._truth][:, None]
        later = np.arange(self._classes) > self._truth[:, None]
        self._rank = ((probabilities > given) | ((probabilities == given) & later)).sum(axis=1)
        right = (self._predicted == self._truth).astype(np.int64)
        self._calibration = Calibration(exact[rows, self._predicted], right)
        self._curves = (
            [Ranked.of(self._truth == c, probabilities[:, c]) for c in range(self._classes)]
            if exact.size <= CURVE_CELLS
            else []
        )

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        """Metrics.

        Returns:
            accuracy; precision, recall and f1 ending in _macro, _micro and _weighted, over the
            classes that occur among labels or predictions, where a class that was never predicted
            has precision 0 and one that was never there has recall 0; log_loss, brier (over all
            classes), calibration_error (of the predicted class); top_2, top_3, top_5 where there
            are more classes; roc_auc_ovr, the mean over classes of each against the rest, where
            every class has weight.
        """
        matrix = _matrix(self._truth, self._predicted, weight, self._classes)
        total = weight.sum()
        found = {
            "accuracy": float(matrix.trace() / total),
            **_averages(matrix, _occurring(self._truth, self._predicted, self._classes)),
            "log_loss": float(weight @ self._log_loss / total),
            "brier": float(weight @ self._brier / total),
            "calibration_error": self._calibration.error(weight),
        }
        for top in _TOPS:
            if top < self._classes:
                found[f"top_{top}"] = float(weight @ (self._rank < top) / total)
        if self._curves and (matrix.sum(axis=1) > 0).all():
            areas = [roc_auc(*curve.counts(weight)) for curve in self._curves]
            found["roc_auc_ovr"] = float(np.mean(areas))
        return found

    def counts(self) -> dict[str, float]:
        """Rows."""
        return {"rows": float(self.rows)}


class RegressionScorer:
    """Of numbers, all in the label's own unit (see `in_own_unit`)."""

    def __init__(
        self, truth: np.ndarray, predicted: np.ndarray, baseline: np.ndarray | None = None
    ) -> None:
        """
        Args:
            truth, predicted: shape (rows,), float64.
            baseline: what one would predict without a model, shape (rows,).

        Raises:
            ModelError: a prediction is not finite, or there is no row.
        """
        _check(truth, predicted)
        self.rows = len(truth)
        self._truth = truth.astype(np.float64)
        self._error = predicted.astype(np.float64) - self._truth
        self._absolute = np.abs(self._error)
        self._order = np.argsort(self._absolute, kind="stable")
        self._baseline = None if baseline is None else baseline.astype(np.float64) - self._truth

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        """Metrics.

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
        found = {
            "mse": mse,
            "half_mse": mse / 2,
            "rmse": float(np.sqrt(mse)),
            "mae": mae,
            "mape": float(weight @ relative / total),
            "bias": float(weight @ self._error / total),
            **self._quantiles(weight),
        }
        center = weight @ self._truth / total
        spread = float(weight @ (self._truth - center) ** 2)
        if np.ptp(self._truth[weight > 0]) > 0 and spread > 0:
            found["r2"] = float(1 - weight @ squared / spread)
        if self._baseline is not None:
            found["baseline_mae"] = float(weight @ np.abs(self._baseline) / total)
            found["baseline_rmse"] = float(np.sqrt(weight @ self._baseline**2 / total))
            if found["baseline_mae"] > 0:
                found["mae_over_baseline"] = mae / found["baseline_mae"]
        return found

    def counts(self) -> dict[str, float]:
        """Rows."""
        return {"rows": float(self.rows)}

    def _quantiles(self, weight: np.ndarray) -> dict[str, float]:
        """The error that a share of the weight does not exceed; where that is reached exactly, the
        mean with the next one (averaged inverted distribution, as the median has it)."""
        there = weight[self._order] > 0
        errors, weight = self._absolute[self._order][there], weight[self._order][there]
        reached = np.cumsum(weight)
        names = {"median_absolute_error": 0.5}
        names |= {f"absolute_error_p{q}": q / 100 for q in (90, 95, 99)}
        wanted, rounding = np.array(list(names.values())) * reached[-1], 1e-12 * reached[-1]
        places = np.minimum(np.searchsorted(reached, wanted - rounding), len(errors) - 1)
        exact = np.abs(reached[places] - wanted) <= rounding
        after = np.minimum(places + exact, len(errors) - 1)
        found = (errors[places] + errors[after]) / 2
        return {
            **dict(zip(names, found.tolist(), strict=True)),
            "largest_error": float(errors[-1]),
        }


def scorer_of(
    found: Mapping[str, np.ndarray], label: LabelSpec, threshold: float
) -> "BinaryScorer | ClassesScorer | LabelsScorer | RegressionScorer":
    """The scorer of gathered predictions; the one place that tells the label's kinds apart.

    Args:
        found: `label`, the model's output under its own name, and `baseline` where there is one, as
            `models.predict.Predictor` returns them.
        label: what they mean.
        threshold: of a binary label, and of each of several.

    Raises:
        ModelError: a prediction is not finite, or there is no row.
    """
    if label.kind == "multi_label":
        _check(found["label"], found["probabilities"])
        return LabelsScorer(found["label"], found["probabilities"], threshold)
    if label.kind == "classes":
        return ClassesScorer(found["label"], found["probabilities"])
    if label.kind == "regression":
        truth, predicted = (in_own_unit(found[name], label) for name in ("label", "value"))
        return RegressionScorer(truth, predicted, found.get("baseline"))
    return BinaryScorer(found["label"], found["probability"], threshold)


def _matrix(
    truth: np.ndarray, predicted: np.ndarray, weight: np.ndarray, classes: int
) -> np.ndarray:
    """The weighted confusion matrix, truth by prediction, float64 (classes, classes)."""
    cells = np.bincount(truth * classes + predicted, weight, classes * classes)
    return cells.reshape(classes, classes)


def _occurring(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(truth, minlength=classes) + np.bincount(predicted, minlength=classes) > 0


def _of_each(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of every class, 0 where they are not defined."""
    hits = matrix.diagonal()
    named, there = matrix.sum(axis=0), matrix.sum(axis=1)
    return ratio(hits, named), ratio(hits, there), ratio(2 * hits, named + there)


def _averages(matrix: np.ndarray, occurring: np.ndarray) -> dict[str, float]:
    there = matrix.sum(axis=1)
    total = there.sum()
    found: dict[str, float] = {}
    each = dict(zip(("precision", "recall", "f1"), _of_each(matrix), strict=True))
    for name, values in each.items():
        found[f"{name}_macro"] = float(values[occurring].mean())
        found[f"{name}_micro"] = float(matrix.trace() / total)  # of one label a row all the same
        found[f"{name}_weighted"] = float(values @ there / total)
    return found


def _check(label: np.ndarray, predicted: np.ndarray) -> None:
    if not len(label):
        raise ModelError("there are no rows to evaluate on; the test split is empty")
    finite = np.isfinite(predicted.reshape(len(predicted), -1)).all(axis=1)
    bad = int((~finite).sum())
    if bad:
        raise ModelError(
            f"{bad:,} of {len(label):,} predictions are not finite; no metric is defined on them. "
            "The model diverged, or a feature holds extreme values"
        )
