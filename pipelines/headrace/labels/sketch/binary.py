"""Measure the metrics of a condition from a sketch, by the definitions of `BinaryScorer`."""

from collections.abc import Mapping

import numpy as np

from headrace.labels.calibration import CALIBRATION_BINS, assign_calibration_bins
from headrace.labels.kind import FittedLabel
from headrace.labels.scoring import EPSILON, check_finite_rows
from headrace.labels.sketch.binned_curves import Bounded, bound_areas, measure_areas
from headrace.labels.sketch.row_sketch import RowQuantities, Sketch, SketchSums

_NAMES = ("precision", "recall", "f1")


class BinarySketch:
    """The metrics of labels of 0 or 1."""

    def describe_rows(
        self, rows: Mapping[str, np.ndarray], label: FittedLabel, threshold: float
    ) -> RowQuantities:
        """Return what rows add: their cell of the confusion matrix, losses, and calibration."""
        truth, probability = rows["label"] > 0.5, rows["probability"]
        check_finite_rows(probability)
        exact = probability.astype(np.float64)
        cell = 2 * truth + (exact >= threshold)
        clipped = np.clip(exact, EPSILON, 1 - EPSILON)
        ones = np.ones(len(exact))
        return RowQuantities(
            sums={
                "confusion": (ones, cell.astype(np.int64), 4),
                "log_loss": (-np.log(np.where(truth, clipped, 1 - clipped)), None, 1),
                "brier": ((exact - truth) ** 2, None, 1),
                "calibration": (
                    exact - truth, assign_calibration_bins(exact), CALIBRATION_BINS
                ),
            },
            score=probability,
            positive=truth,
        )  # fmt: skip

    def measure_metrics(self, sketch: Sketch) -> dict[str, Bounded]:
        """Return the metrics with their bounds; that of areas is above 0."""
        sums = sketch.all_rows
        metrics = {
            name: Bounded(float(value), 0.0)
            for name, value in _measure_sums(sums, _find_occurring(sketch)).items()
            if not np.isnan(value)
        }
        if "normalized_entropy" in metrics:  # where both classes have weight
            entropy = metrics.pop("normalized_entropy")
            metrics["roc_auc"], metrics["pr_auc"] = bound_areas(
                sums.positive, sums.other, sketch.is_single
            )
            metrics["normalized_entropy"] = entropy
        return metrics

    def measure_draws(self, sketch: Sketch) -> dict[str, np.ndarray]:
        """Return the metrics of all rows in few bins and of every draw, (1 + draws,)."""
        metrics = _measure_sums(sketch.draws, _find_occurring(sketch))
        areas = measure_areas(sketch.draws.positive, sketch.draws.other)
        return {**metrics, "roc_auc": areas[0], "pr_auc": areas[1]}

    def count_outcomes(self, sketch: Sketch) -> dict[str, float]:
        """Return the number of rows, and the weight of positives and of the confusion matrix."""
        tn, fp, fn, tp = sketch.all_rows.sums["confusion"].tolist()
        counts = {"rows": float(sketch.rows)}
        if (tn + fp + fn + tp) != sketch.rows:
            counts["weight"] = tn + fp + fn + tp
        return {
            **counts,
            "positives": fn + tp,
            "true_negatives": tn,
            "false_positives": fp,
            "false_negatives": fn,
            "true_positives": tp,
        }


def _find_occurring(sketch: Sketch) -> np.ndarray:
    """Return which classes occur among labels or predictions, bool (2,)."""
    tn, fp, fn, tp = (sketch.counts["confusion"] > 0).tolist()
    return np.array([tn or fp or fn, tp or fp or fn])


def _measure_sums(drawn: SketchSums, occurring: np.ndarray) -> dict[str, np.ndarray]:
    """Return the metrics that sums alone give, (...,); NaN where they are not defined."""
    sums = drawn.sums
    tn, fp, fn, tp = np.moveaxis(sums["confusion"], -1, 0)
    total = tn + fp + fn + tp
    with np.errstate(invalid="ignore", divide="ignore"):
        hits, predicted, actual = ((tn, tp), (tn + fn, fp + tp), (tn + fp, fn + tp))
        by_class = [
            (_divide_or_zero(h, p), _divide_or_zero(h, a), _divide_or_zero(2 * h, p + a))
            for h, p, a in zip(hits, predicted, actual, strict=True)
        ]
        accuracy = (tn + tp) / total
        metrics = {"accuracy": accuracy, **dict(zip(_NAMES, by_class[1], strict=True))}
        for name, values in zip(_NAMES, zip(*by_class, strict=True), strict=True):
            shown = [value for value, occurs in zip(values, occurring, strict=True) if occurs]
            metrics[f"{name}_macro"] = sum(shown) / len(shown)
            metrics[f"{name}_micro"] = accuracy
            weighted = values[0] * actual[0] + values[1] * actual[1]
            metrics[f"{name}_weighted"] = weighted / total
        metrics["log_loss"] = sums["log_loss"][..., 0] / total
        metrics["brier"] = sums["brier"][..., 0] / total
        metrics["calibration_error"] = np.abs(sums["calibration"]).sum(axis=-1) / total
        rare = np.minimum(*actual) / total
        entropy = -(rare * np.log(rare) + (1 - rare) * np.log1p(-rare))
        metrics["normalized_entropy"] = np.where(rare > 0, metrics["log_loss"] / entropy, np.nan)
    return metrics


def _divide_or_zero(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1), 0.0)
