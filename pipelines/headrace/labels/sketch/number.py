"""Measure the metrics of numbers from a sketch; definitions are those of `regression.NumberScorer`
and `count.CountScorer`."""

from collections.abc import Mapping

import numpy as np

from headrace.labels.deviance import compute_poisson_deviances
from headrace.labels.kind import FittedLabel
from headrace.labels.scoring import EPSILON, check_finite_rows
from headrace.labels.sketch.binned_curves import Bounded, interpolate_quantiles, measure_quantiles
from headrace.labels.sketch.row_sketch import RowQuantities, Sketch, SketchSums

_SHARES = {"median_absolute_error": 0.5} | {f"absolute_error_p{q}": q / 100 for q in (90, 95, 99)}


class NumberSketch:
    """The metrics of labels that are numbers."""

    def describe_rows(
        self, rows: Mapping[str, np.ndarray], label: FittedLabel, threshold: float
    ) -> RowQuantities:
        """Return what rows add, in the label's own unit: errors, and moments of the label."""
        predicted = rows["value"].astype(np.float64) * label.scale + label.center
        truth = rows["label"].astype(np.float64) * label.scale + label.center
        check_finite_rows(predicted)
        error = predicted - truth
        absolute = np.abs(error)
        ones = np.ones(len(error))
        from_center = truth - label.center  # near the mean, so that squares lose nothing
        sums = {
            "weight": ones,
            "squared": error**2,
            "absolute": absolute,
            "relative": absolute / np.maximum(np.abs(truth), EPSILON),
            "error": error,
            "label": from_center,
            "label_squared": from_center**2,
            **self._describe_further(truth, predicted),
        }
        if "baseline" in rows:
            of_baseline = rows["baseline"].astype(np.float64) - truth
            sums |= {"baseline": np.abs(of_baseline), "baseline_squared": of_baseline**2}
        return RowQuantities(
            sums={name: (values, None, 1) for name, values in sums.items()},
            score=absolute,
            positive=np.ones(len(error), bool),
            extremes={
                "largest_error": float(absolute.max(initial=0.0)),
                "highest": float(truth.max(initial=-np.inf)),
                "lowest": float((-truth).max(initial=-np.inf)),
            },
        )

    def measure_metrics(self, sketch: Sketch) -> dict[str, Bounded]:
        """Return the metrics with their bounds; that of quantiles is above 0."""
        rows = sketch.all_rows
        is_constant = sketch.extremes["highest"] == -sketch.extremes["lowest"]
        measured = _drop_undefined(self._measure_sums(rows), is_constant=is_constant)
        metrics = {name: Bounded(float(value), 0.0) for name, value in measured.items()}
        quantiles, bounds = measure_quantiles(
            rows.positive, rows.first, rows.last, list(_SHARES.values())
        )
        of_quantiles = map(Bounded, quantiles.tolist(), bounds.tolist())
        last = float(rows.last[np.flatnonzero(rows.positive > 0)[-1]])
        metrics |= dict(zip(_SHARES, of_quantiles, strict=True))
        first = float(rows.first[np.flatnonzero(rows.positive > 0)[-1]])
        metrics["largest_error"] = Bounded(last, last - first)
        if sketch.weighted_rows == sketch.rows:
            metrics["largest_error"] = Bounded(sketch.extremes["largest_error"], 0.0)
        return metrics

    def measure_draws(self, sketch: Sketch) -> dict[str, np.ndarray]:
        """Return the metrics of all rows in few bins and of every draw, (1 + draws,).

        The largest error has no draws: a bin of many rows does not say which of them were drawn.
        """
        rows = sketch.draws
        is_constant = sketch.extremes["highest"] == -sketch.extremes["lowest"]
        metrics = self._measure_sums(rows)
        if is_constant:
            metrics = {n: np.full(len(v), np.nan) if n in _OF_SPREAD else v
                       for n, v in metrics.items()}  # fmt: skip
        quantiles = interpolate_quantiles(
            rows.positive, rows.first, rows.last, list(_SHARES.values())
        )
        return {**metrics, **dict(zip(_SHARES, quantiles.T, strict=True))}

    def count_outcomes(self, sketch: Sketch) -> dict[str, float]:
        """Return the number of rows, and their weight."""
        weight = float(sketch.all_rows.sums["weight"][0])
        counts = {"rows": float(sketch.rows)}
        return counts if weight == sketch.rows else {**counts, "weight": weight}

    def _describe_further(self, truth: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
        """Return what rows add to further metrics of the kind."""
        return {}

    def _measure_sums(self, drawn: SketchSums) -> dict[str, np.ndarray]:
        """Return the metrics that sums alone give, (...,); NaN where they are not defined."""
        sums = {name: values[..., 0] for name, values in drawn.sums.items()}
        total = sums["weight"]
        with np.errstate(invalid="ignore", divide="ignore"):
            mse = sums["squared"] / total
            spread = sums["label_squared"] - sums["label"] ** 2 / total
            metrics = {
                "mse": mse,
                "half_mse": mse / 2,
                "rmse": np.sqrt(mse),
                "mae": sums["absolute"] / total,
                "mape": sums["relative"] / total,
                "bias": sums["error"] / total,
                "r2": np.where(spread > 0, 1 - sums["squared"] / spread, np.nan),
            }
            if "baseline" in sums:
                mae = sums["baseline"] / total
                metrics["baseline_mae"] = mae
                metrics["baseline_rmse"] = np.sqrt(sums["baseline_squared"] / total)
                metrics["mae_over_baseline"] = np.where(mae > 0, metrics["mae"] / mae, np.nan)
        return metrics


_OF_SPREAD = ("r2", "d2_poisson")  # not defined where all labels are the same


class CountSketch(NumberSketch):
    """The metrics of labels that are counts; predictions are rates."""

    def _describe_further(self, truth: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
        own_logarithm = truth * np.log(np.where(truth > 0, truth, 1.0))
        return {
            "deviance": compute_poisson_deviances(predicted, truth),
            "own_logarithm": own_logarithm,
        }

    def _measure_sums(self, drawn: SketchSums) -> dict[str, np.ndarray]:
        metrics = super()._measure_sums(drawn)
        total, events = drawn.sums["weight"][..., 0], drawn.sums["label"][..., 0]
        with np.errstate(invalid="ignore", divide="ignore"):
            deviance = drawn.sums["deviance"][..., 0] / total
            # Of the mean rate: events and rates cancel, see `compute_poisson_deviances`.
            of_events = np.where(events > 0, events * np.log(events / total), 0.0)
            of_mean = 2 * (drawn.sums["own_logarithm"][..., 0] - of_events) / total
            d2 = np.where(of_mean > 0, 1 - deviance / of_mean, np.nan)
        return {**metrics, "poisson_deviance": deviance, "d2_poisson": d2}


def _drop_undefined(
    metrics: Mapping[str, np.ndarray], *, is_constant: bool
) -> dict[str, np.ndarray]:
    return {
        name: value
        for name, value in metrics.items()
        if not np.isnan(value) and not (is_constant and name in _OF_SPREAD)
    }
