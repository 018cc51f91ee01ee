"""Analyze gathered predictions: metrics, intervals, slices, tables and figures; rank 0 does it.

No ranks, no MLflow, no TensorFlow: arrays and settings in, plain values and figures out. Whether
the model may be promoted is decided elsewhere, by gates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.errors import ModelError
from headrace.evaluate import plots
from headrace.evaluate.bootstrap import DrawnMetrics, Interval, draw_metrics, find_intervals
from headrace.evaluate.importance import Importance
from headrace.evaluate.leakage import FeatureStrength
from headrace.evaluate.sketched import SketchedRows, sketch_predictions
from headrace.evaluate.slices import (
    SliceResult,
    SliceSource,
    assign_slices,
    score_slices,
    sort_worst_first,
)
from headrace.evaluate.worst_rows import WorstRows, find_worst_rows
from headrace.labels.binary import BinaryScorer
from headrace.labels.kind import Form
from headrace.labels.losses.quantile import Quantile
from headrace.labels.multi_label_scorer import choose_row_step, flatten_rows
from headrace.labels.ranking import LIST
from headrace.labels.scorer import Scorer
from headrace.labels.sketch.row_sketch import GROUPS
from headrace.labels.spec import LabelSpec
from headrace.models.threshold import compute_threshold_curves
from headrace.number_text import format_number
from headrace.pages.charts.frame import Figure
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec

_SLICE_GROUPS, _SLICE_BINS = 64, 256  # of the draws of one of very many slices, see `row_sketch`
# Thresholds of the threshold table, besides the one that the model uses.
_TABLE_THRESHOLDS = np.round(np.arange(0.05, 1.0, 0.05), 2)


@dataclass(frozen=True)
class AnalysisInputs:
    """The predictions of a model, and what else the analysis reads.

    Attributes:
        spec: the dataset's transform.
        threshold: of a binary label, and of each of several labels.
        test: all rows of the test split, see `predictions.PredictedRows`, and `ranking.LIST` where
            the recipe has lists.
        validation, train: the same of other splits, of train a part of the rows; empty where the
            split has no rows.
        slices: of the recipe, and where their values lie.
        slice_columns: of the test rows, in their order: the columns that slices need.
        history: metric -> epochs and values.
        importances: the most important first; empty where the recipe measures none.
        strengths: the strongest first.
        sketched: of more test rows than `evaluate.exact_rows`, their sketch; `test` are then those
            rows that something else needs.
        class_names: of the label's classes, or of 0 and 1, for people.
    """

    spec: TransformSpec
    threshold: float
    test: Mapping[str, np.ndarray]
    validation: Mapping[str, np.ndarray]
    train: Mapping[str, np.ndarray]
    slices: Sequence[SliceSource]
    slice_columns: pa.Table
    history: Mapping[str, Sequence[tuple[int, float]]]
    importances: Sequence[Importance] = ()
    strengths: Sequence[FeatureStrength] = ()
    sketched: SketchedRows | None = None
    class_names: Sequence[str] = ("0", "1")


@dataclass(frozen=True)
class Analysis:
    """The results of an analysis.

    Attributes:
        metrics: of the test split, counts included.
        intervals: by metric, of those that have one.
        metric: by which slices are ordered.
        slices: the worst first.
        thresholds: rows of the threshold table; empty where the label has no threshold.
        labels: rows of the table of labels; empty where rows have one label each.
        notes: what a reader has to know about slices.
        drawn: metrics of every draw of the test rows.
        figures: of each image of the run, by its file name.
        worst: rows that the model is most wrong about; none where the rows are sketched.
        remarks: what a reader has to know about metrics and figures.
    """

    metrics: dict[str, float]
    intervals: dict[str, Interval]
    metric: str
    slices: list[SliceResult]
    thresholds: list[dict[str, float]]
    labels: list[dict[str, float | str]] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    drawn: DrawnMetrics = field(default_factory=lambda: DrawnMetrics({}, [], 0))
    figures: dict[str, Sequence[Figure]] = field(default_factory=dict)
    worst: WorstRows = field(default_factory=WorstRows)
    remarks: tuple[str, ...] = ()


def analyze_predictions(inputs: AnalysisInputs, settings: s.Evaluate) -> Analysis:
    """Compute metrics, intervals and slices of the test split, and plot them.

    Raises:
        ModelError: a prediction is not finite, or there is no row.
    """
    label = inputs.spec.label
    kind = label.definition
    weigh = get_row_weights if inputs.sketched is None else _get_shown_weights
    weight = weigh(inputs.test, settings)
    counts, drawn, labels = _measure_rows(inputs, settings, weight)
    metrics = {**counts, **drawn.metrics}
    if label.has_threshold:
        metrics["threshold"] = inputs.threshold
    intervals = find_intervals(drawn, settings.confidence)
    metric = settings.metric or label.main_metric
    results, notes = _score_slices(inputs, settings, weight)
    slices = sort_worst_first(
        results,
        metric,
        higher_is_better=kind.is_higher_better(metric),
    )
    shown, remarks = _thin_splits(inputs, settings)
    thresholds = _make_threshold_table(shown, settings)
    worst = WorstRows()
    if settings.worst_rows and inputs.sketched is None:
        names, most = inputs.class_names, settings.worst_rows
        worst = find_worst_rows(inputs.test, label, names, most)
    analysis = Analysis(
        metrics, intervals, metric, slices, thresholds, labels, notes, drawn, {}, worst, remarks
    )
    analysis.figures.update(_plot_figures(shown, settings, analysis))
    return analysis


def _measure_rows(
    inputs: AnalysisInputs, settings: s.Evaluate, weight: np.ndarray
) -> tuple[dict[str, float], DrawnMetrics, list[dict[str, float | str]]]:
    """Return counts of the test rows, their metrics with all draws, and the table of labels."""
    label, test = inputs.spec.label, inputs.test
    if inputs.sketched is not None:
        return inputs.sketched.counts, inputs.sketched.drawn, []
    scorer = label.definition.make_scorer(test, label, inputs.threshold)
    drawn = draw_metrics(
        scorer, weight, draws=settings.bootstrap, seed=settings.seed, lists=test.get(LIST)
    )
    return scorer.count_outcomes(weight), drawn, scorer.describe_labels(weight, label.classes)


def _thin_splits(
    inputs: AnalysisInputs, settings: s.Evaluate
) -> tuple[AnalysisInputs, tuple[str, ...]]:
    """Return the inputs with so many rows of each split as figures show, and what to say of it."""
    sketched = inputs.sketched
    if sketched is None:
        return inputs, ()
    splits = {name: getattr(inputs, name) for name in ("test", "validation")}
    steps = {n: -(-len(r.get("label", ())) // settings.exact_rows) for n, r in splits.items()}
    thin = {n: {k: v[:: max(1, steps[n])] for k, v in r.items()} for n, r in splits.items()}
    rows = {name: len(part["label"]) for name, part in thin.items() if part}
    text = (
        f"{sketched.rows:,} test rows are more than evaluate.exact_rows ({settings.exact_rows:,}): "
        "metrics are of sums and histograms of all of them, each with the bound of what it may be "
        f"off; intervals draw {GROUPS:,} groups of rows; figures and the table of thresholds show "
        + " and ".join(f"{count:,} {name} rows" for name, count in rows.items())
    )
    return replace(inputs, test=thin["test"], validation=thin["validation"]), (text,)


def get_row_weights(rows: Mapping[str, np.ndarray], settings: s.Evaluate) -> np.ndarray:
    """Return 1 per row, or the sample weights where the recipe says so, float64 (rows,).

    Raises:
        ModelError: all weights are 0.
    """
    if settings.weighted and "sample_weight" in rows:
        weight = rows["sample_weight"].astype(np.float64)
        if not weight.sum() > 0:
            raise ModelError(
                "all rows that the model is evaluated on have a sample weight of 0; set "
                "evaluate.weighted to false, or check label.sample_weight"
            )
        return weight
    return np.ones(len(rows["label"]))


def compute_metric(
    output: np.ndarray,
    truth: np.ndarray,
    label: LabelSpec,
    threshold: float,
    metric: str,
    weight: np.ndarray,
) -> float:
    """Compute one metric of some rows.

    Args:
        output: the model's, (rows,) or (rows, classes).
        truth: labels as the dataset has them.
        label: what they mean.
        threshold: of kinds that have one.
        metric: its name.
        weight: of the rows, float64 (rows,).

    Returns:
        NaN where the metric is not defined.
    """
    kind = label.definition
    scorer = kind.make_scorer({"label": truth, kind.output: output}, label, threshold)
    return scorer(weight).get(metric, float("nan"))


def _score_slices(
    inputs: AnalysisInputs, settings: s.Evaluate, weight: np.ndarray
) -> tuple[list[SliceResult], tuple[str, ...]]:
    """Return the results of all slices, and what a reader has to know about them."""
    label = inputs.spec.label

    def make_scorer(positions: np.ndarray) -> Scorer:
        rows = {name: array[positions] for name, array in inputs.test.items()}
        return label.definition.make_scorer(rows, label, inputs.threshold)

    def sketch(positions: np.ndarray, draws: int) -> SketchedRows:
        return sketch_predictions(
            {name: array[positions] for name, array in inputs.test.items()},
            label,
            inputs.threshold,
            settings,
            draws=draws,
            groups=_SLICE_GROUPS,
            drawn_bins=_SLICE_BINS,
        )

    results: list[SliceResult] = []
    notes: list[str] = []
    for source in inputs.slices:
        assigned = assign_slices(source, inputs.slice_columns, settings.max_slices)
        notes += assigned.notes
        results += score_slices(
            source.item,
            assigned.codes,
            assigned.names,
            make_scorer,
            weight,
            settings,
            inputs.test.get(LIST),
            sketch if inputs.sketched is not None else None,
        )
    return results, tuple(dict.fromkeys(notes))


def _make_threshold_table(inputs: AnalysisInputs, settings: s.Evaluate) -> list[dict[str, float]]:
    """Return metrics by threshold, of the validation split, on which a threshold is chosen."""
    if not inputs.spec.label.has_threshold:
        return []
    rows = _flatten_labels(weigh_rows(inputs.validation or inputs.test, settings))
    table = []
    for threshold in sorted({*_TABLE_THRESHOLDS.tolist(), inputs.threshold}):
        scorer = BinaryScorer(rows["label"], rows["probability"], threshold)
        metrics = scorer(rows["weight"])
        is_positive = rows["probability"].astype(np.float64) >= threshold
        share = float(rows["weight"] @ is_positive / rows["weight"].sum())
        names = ("precision", "recall", "f1", "accuracy")
        table.append(
            {"threshold": threshold, **{n: metrics[n] for n in names}, "share positive": share}
        )
    return table


def weigh_rows(rows: Mapping[str, np.ndarray], settings: s.Evaluate) -> Mapping[str, np.ndarray]:
    """Return the rows with their weight, float64; 1 each where none of them has any."""
    try:
        return {**rows, "weight": get_row_weights(rows, settings)}
    except ModelError:  # of another split than the evaluated one: a figure is no reason to fail
        return {**rows, "weight": np.ones(len(rows["label"]))}


def _get_shown_weights(rows: Mapping[str, np.ndarray], settings: s.Evaluate) -> np.ndarray:
    """Return the weights of rows that may be a part of those that are evaluated."""
    return np.asarray(weigh_rows(rows, settings)["weight"])


def _flatten_labels(rows: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Return weighed rows of a binary label; several labels per row become as many rows."""
    if rows["label"].ndim == 1:
        return rows
    weight = rows["weight"][:: choose_row_step(rows["label"])]
    return {**flatten_rows(rows), "weight": np.repeat(weight, rows["label"].shape[1])}


def _plot_figures(
    inputs: AnalysisInputs, settings: s.Evaluate, analysis: Analysis
) -> dict[str, Sequence[Figure]]:
    """Plot all figures of the report, by the file name of their image."""
    figures = _plot_predictions(inputs, settings)
    if analysis.labels:
        figures["labels.png"] = plots.plot_labels(analysis.labels)
    if inputs.history:
        figures["learning_curves.png"] = plots.plot_learning_curves(inputs.history)
    if any(not r.is_small and analysis.metric in r.metrics for r in analysis.slices):
        overall = analysis.metrics.get(analysis.metric, float("nan"))
        figures["slices.png"] = plots.plot_worst_slices(analysis.slices, analysis.metric, overall)
    if inputs.importances:
        figures["importance.png"] = plots.plot_importances(inputs.importances, analysis.metric)
    return figures


def _plot_predictions(inputs: AnalysisInputs, settings: s.Evaluate) -> dict[str, Sequence[Figure]]:
    """Plot the figures that depend on the form of predictions, by file name."""
    label = inputs.spec.label
    splits = {"train": inputs.train, "validation": inputs.validation, "test": inputs.test}
    splits = {name: weigh_rows(rows, settings) for name, rows in splits.items() if rows}
    test = splits["test"]
    weights = {name: rows["weight"] for name, rows in splits.items()}
    kind = label.definition
    if kind.form is Form.CLASS:
        predicted = test[kind.output].argmax(axis=1)
        correct = (predicted == test["label"]).astype(float)
        classes = {n: rows[kind.output].argmax(axis=1) for n, rows in splits.items()}
        return {
            "confusion_matrix.png": plots.plot_confusion(
                test["label"], predicted, label.classes, "Confusion matrix", test["weight"]
            ),
            "calibration.png": plots.plot_calibration(
                test[kind.output].max(axis=1), correct, "the predicted class", test["weight"]
            ),
            "predictions_by_split.png": plots.plot_by_split(
                classes, "predicted class", label.classes, weights
            ),
        }
    if kind.form is Form.NUMBER:
        truth, predicted = (kind.convert_output(test[n], label) for n in ("label", kind.output))
        numbers = {n: kind.convert_output(rows[kind.output], label) for n, rows in splits.items()}
        figures: dict[str, Sequence[Figure]] = {
            "predictions_and_residuals.png": plots.plot_predictions_and_residuals(
                truth, predicted, test["weight"]
            ),
            "predictions_by_split.png": plots.plot_by_split(
                numbers, "prediction (unit of the label)", weights=weights
            ),
        }
        if isinstance(label.loss, Quantile):
            figures["calibration.png"] = plots.plot_coverage(
                truth, predicted, test["weight"], label.loss.level
            )
        return figures
    return _plot_probabilities(inputs, splits)


def _plot_probabilities(
    inputs: AnalysisInputs, splits: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, Sequence[Figure]]:
    """Plot the figures of probabilities that a threshold turns into predictions, by file name."""
    splits = {name: _flatten_labels(rows) for name, rows in splits.items()}
    test, threshold = splits["test"], inputs.threshold
    truth, probability, weight = test["label"].astype(np.int64), test["probability"], test["weight"]
    predicted = (probability.astype(np.float64) >= threshold).astype(np.int64)
    is_multi_label = bool(inputs.spec.label.classes)
    title = "All labels" if is_multi_label else "Confusion matrix"
    title += f", threshold {format_number(threshold, 4)}"
    figures: dict[str, Sequence[Figure]] = {
        "confusion_matrix.png": plots.plot_confusion(
            truth, predicted, inputs.class_names, title, weight
        ),
        "calibration.png": plots.plot_calibration(
            probability,
            truth,
            "all labels" if is_multi_label else inputs.class_names[1],
            weight,
        ),
        "predictions_by_split.png": plots.plot_by_split(
            {name: rows["probability"] for name, rows in splits.items()},
            "predicted probability",
            weights={name: rows["weight"] for name, rows in splits.items()},
        ),
    }
    curves = {
        name: compute_threshold_curves(rows["label"], rows["probability"], rows["weight"])
        for name, rows in splits.items()
        if name != "train"
    }
    figures["thresholds.png"] = plots.plot_threshold_curves(curves, threshold, dashed=("test",))
    if 0 < (weight * truth).sum() < weight.sum():
        figures["roc_and_pr.png"] = plots.plot_roc_and_pr(truth, probability, weight)
    return figures


def analysis_to_dict(analysis: Analysis, inputs: AnalysisInputs) -> dict[str, Any]:
    """Return all numbers of an analysis as plain values, for `verdict.json`."""
    return {
        "metrics": analysis.metrics,
        "intervals": {n: [i.low, i.high] for n, i in analysis.intervals.items()},
        **({"bounds": dict(analysis.drawn.bounds)} if inputs.sketched is not None else {}),
        **({"remarks": list(analysis.remarks)} if analysis.remarks else {}),
        "thresholds": analysis.thresholds,
        **({"slice_notes": list(analysis.notes)} if analysis.notes else {}),
        **({"labels": analysis.labels} if analysis.labels else {}),
        "importance": [
            {"feature": item.feature, "loss": item.drop, "spread": item.std}
            for item in inputs.importances
        ],
        "single_features": [
            {"feature": item.feature, "strength": item.strength, "suspicious": item.is_suspicious}
            for item in inputs.strengths
        ],
    }
