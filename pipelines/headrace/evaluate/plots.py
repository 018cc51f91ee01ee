"""Plot the results of an evaluation: charts of the report's design, from values computed elsewhere.

Each function returns the figures of one image of the run; `draw` makes the image of them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn import metrics as sk

from headrace.evaluate.importance import Importance
from headrace.evaluate.slices import SliceResult
from headrace.labels.calibration import CALIBRATION_BINS
from headrace.number_text import format_exact, format_number, format_share
from headrace.pages.charts.bars import BarChart, Series
from headrace.pages.charts.density import Density
from headrace.pages.charts.frame import Axis, Figure
from headrace.pages.charts.lines import Line, LineChart
from headrace.pages.charts.matrix import Matrix
from headrace.pages.charts.rows import RowChart, RowMark, RowSeries
from headrace.pages.colors import SPLIT_COLORS
from headrace.pages.markup import shorten

# Colours beyond those of the splits: metrics beside each other are no splits.
METRIC_COLORS = {"precision": 3, "recall": 4, "f1": 5}
_TEST = SPLIT_COLORS["test"]
_MATRIX_CLASSES = 30  # classes of a confusion matrix; the others are one
_COVERAGE_GROUPS, _HISTOGRAM_BINS, _DENSITY_BINS = 10, 60, 40
_SHOWN_SLICES, _SHOWN_FEATURES, _SHOWN_CLASSES = 25, 30, 30
_TAILS = (0.001, 0.999)  # of the rows: an axis reaches from one to the other


def plot_confusion(
    truth: np.ndarray,
    predicted: np.ndarray,
    names: Sequence[str],
    title: str,
    weight: np.ndarray | None = None,
) -> list[Figure]:
    """Plot the rows, or their weight, by true and predicted class.

    Args:
        truth, predicted: class positions, (rows,).
        names: of the classes.
        title: of the plot.
        weight: (rows,); 1 each by default.
    """
    weights = np.ones(len(truth)) if weight is None else weight
    truth, predicted = truth.astype(np.int64), predicted.astype(np.int64)
    note = ""
    if len(names) > _MATRIX_CLASSES:
        wrong = np.where(truth == predicted, 0.0, weights)
        errors = np.bincount(truth, wrong, len(names)) + np.bincount(predicted, wrong, len(names))
        shown = np.sort(np.argsort(-errors, kind="stable")[: _MATRIX_CLASSES - 1])
        places = np.full(len(names), _MATRIX_CLASSES - 1)
        places[shown] = np.arange(len(shown))
        truth, predicted = places[truth], places[predicted]
        note = (
            f"Of {len(names):,} classes those with the most wrong rows are shown; all others are "
            "the last one."
        )
        names = [*(names[n] for n in shown), f"{len(names) - len(shown):,} others"]
    counts = np.bincount(truth * len(names) + predicted, weights, len(names) ** 2)
    chart = Matrix(
        [shorten(name, 60) for name in names],
        counts.reshape(len(names), len(names)).tolist(),
        "truth",
        "prediction",
        _name_rows(weight),
    )
    reading = (
        f"Each line is a true class: the percentages say how its {_name_rows(weight)} were "
        "predicted, and those of the diagonal, from the upper left, are right."
    )
    return [Figure(title, chart, reading, note)]


def plot_roc_and_pr(truth: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> list[Figure]:
    """Plot the ROC curve and the precision-recall curve of a binary label.

    Args:
        truth: 0 or 1, (rows,); both must occur.
        probability: of label 1, (rows,).
        weight: (rows,).
    """
    false_rate, true_rate, _ = sk.roc_curve(truth, probability, sample_weight=weight)
    precision, recall, _ = sk.precision_recall_curve(
        truth, probability, sample_weight=weight, drop_intermediate=True
    )
    rate = float((weight * truth).sum() / weight.sum())
    return [
        Figure(
            "ROC curve",
            LineChart(
                [Line("model", false_rate.tolist(), true_rate.tolist(), _TEST)],
                _share("false positives, of all negatives"),
                _share("true positives, of all positives"),
                has_diagonal=True,
            ),
            "Each point is a threshold: the higher above the dashed line of guesses, the better "
            "positives stand above negatives.",
        ),
        Figure(
            "Precision and recall",
            LineChart(
                [Line("model", recall[::-1].tolist(), precision[::-1].tolist(), _TEST)],
                _share("recall: positives that are found"),
                _share("precision: predicted positives that are right"),
                level=(rate, f"all rows: {format_share(rate)}"),
            ),
            "Each point is a threshold: how right predicted positives are, over how many of all "
            "are found; the dashed line is what guesses have.",
        ),
    ]


def plot_calibration(
    probability: np.ndarray, outcome: np.ndarray, event: str, weight: np.ndarray | None = None
) -> list[Figure]:
    """Plot the reliability diagram, and the histogram of the predicted probabilities.

    Args:
        probability: (rows,).
        outcome: 1 where what was predicted came true, else 0, (rows,).
        event: words for what the probability is of.
        weight: (rows,); 1 each by default.
    """
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    bins = np.clip(np.ceil(probability * CALIBRATION_BINS).astype(int) - 1, 0, len(edges) - 2)
    weights = np.ones(len(bins)) if weight is None else weight
    rows = np.bincount(bins, weights, CALIBRATION_BINS)
    filled = rows > 0
    means = [
        (np.bincount(bins, weights * values, CALIBRATION_BINS)[filled] / rows[filled]).tolist()
        for values in (probability, outcome)
    ]
    of_event = f"probability of {shorten(event, 60)}"
    return [
        Figure(
            f"Calibration of the {of_event}",
            LineChart(
                [Line("came true", means[0], means[1], _TEST)],
                _share("predicted probability"),
                _share("share that came true"),
                has_diagonal=True,
            ),
            "On the dashed line as many rows come true as predicted; below it the model promises "
            "too much, above it too little.",
        ),
        Figure(
            f"How often each {of_event} is predicted",
            BarChart(
                [Series("", rows.tolist(), _TEST)],
                y=Axis(_name_rows(weight)),
                x=Axis("predicted probability", is_share=True),
                edges=edges.tolist(),
            ),
            "Points of the calibration whose bar is low are of few rows, and say little.",
        ),
    ]


def plot_coverage(
    truth: np.ndarray, predicted: np.ndarray, weight: np.ndarray, level: float
) -> list[Figure]:
    """Plot the share of labels at or below a predicted quantile, by the size of the prediction.

    Rows are in ten groups of about as many; a quantile is calibrated where each group is at the
    level, not only all of them together.

    Args:
        truth, predicted: (rows,), in one unit.
        weight: (rows,).
        level: of the quantile.
    """
    limits = np.unique(np.quantile(predicted, np.linspace(0, 1, _COVERAGE_GROUPS + 1)))
    groups = np.clip(
        np.searchsorted(limits, predicted, side="right") - 1, 0, max(0, len(limits) - 2)
    )
    total = np.bincount(groups, weight)
    filled = total > 0
    means, shares = (
        (np.bincount(groups, weight * values)[filled] / total[filled]).tolist()
        for values in (predicted, truth <= predicted)
    )
    unit = "predicted quantile (unit of the label)"
    return [
        Figure(
            f"Calibration of the quantile {format_exact(level)}",
            LineChart(
                [Line("labels at or below", means, shares, _TEST)],
                Axis(unit),
                _share("labels at or below it"),
                level=(level, f"wanted: {format_share(level)}"),
            ),
            "Each point is a tenth of the rows: on the dashed line as many labels are at or below "
            "the predicted quantile as there should be.",
        ),
        _plot_histogram("Predicted quantiles", predicted, None, unit),
    ]


def plot_predictions_and_residuals(
    truth: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None = None
) -> list[Figure]:
    """Plot predictions over true values, and the histogram of the residuals.

    Args:
        truth, predicted: (rows,), in one unit.
        weight: (rows,); 1 each by default.
    """
    has_weight = slice(None) if weight is None else weight > 0
    truth, predicted = truth[has_weight], predicted[has_weight]
    weight = None if weight is None else weight[has_weight]
    edges = _find_edges(np.concatenate([truth, predicted]), _DENSITY_BINS)
    low, high = edges[0], edges[-1]
    beyond = int(((truth < low) | (truth > high) | (predicted < low) | (predicted > high)).sum())
    counts, _, _ = np.histogram2d(
        np.clip(truth, low, high), np.clip(predicted, low, high), [edges, edges], weights=weight
    )
    chart = Density(
        edges.tolist(),
        edges.tolist(),
        counts.tolist(),
        Axis("true value (unit of the label)"),
        Axis("prediction (unit of the label)"),
        _name_rows(weight),
    )
    return [
        Figure(
            "Predictions by true value",
            chart,
            "On the dashed line a prediction is right; above it it is too high, and stronger cells "
            "have more rows.",
            _describe_beyond(beyond),
        ),
        _plot_histogram(
            "Residuals",
            truth - predicted,
            weight,
            "true value − prediction (unit of the label)",
            "At 0 a prediction is right; a hill beside it is an error that all predictions share.",
        ),
    ]


def plot_by_split(
    values: Mapping[str, np.ndarray],
    axis: str,
    names: Sequence[str] = (),
    weights: Mapping[str, np.ndarray] | None = None,
) -> list[Figure]:
    """Plot how predictions are distributed in each split, as shares of its rows or their weight.

    Args:
        values: split -> numbers, or class positions where there are `names`.
        axis: words for what the predictions are.
        names: of classes.
        weights: split -> (rows,); 1 each by default.
    """
    if weights is None:
        weights = {split: np.ones(len(rows)) for split, rows in values.items()}
    y = Axis(f"share of the split's {_name_rows(*weights.values())}", is_share=True)
    reading = "Where the splits differ, the model sees other rows in them than in training."
    title = "Predictions by split"
    if names:
        shown = min(len(names), _SHOWN_CLASSES)
        series = [
            Series(
                split,
                (np.bincount(rows, weights[split], len(names))[:shown] / weights[split].sum())
                .tolist(),
                SPLIT_COLORS[split],
            )
            for split, rows in values.items()
        ]  # fmt: skip
        left = len(names) - shown
        note = f"{left:,} more classes are not shown." if left else ""
        chart = BarChart(series, y, Axis(axis), names=[shorten(n, 60) for n in names[:shown]])
        return [Figure(title, chart, reading, note)]
    edges = _find_edges(np.concatenate(list(values.values())), _HISTOGRAM_BINS)
    lines = []
    for split, numbers in values.items():
        clipped = np.clip(numbers, edges[0], edges[-1])
        counts, _ = np.histogram(clipped, edges, weights=weights[split])
        shares = counts / weights[split].sum()
        heights = [0.0, *shares.tolist(), 0.0]
        places = [edges[0], *edges[:-1].tolist(), edges[-1]]
        dashes = "" if split == "test" else ("6 3" if split == "validation" else "2 2")
        lines.append(Line(split, places, heights, SPLIT_COLORS[split], dashes, is_step=True))
    return [Figure(title, LineChart(lines, Axis(axis), y), reading)]


def plot_learning_curves(history: Mapping[str, Sequence[tuple[int, float]]]) -> list[Figure]:
    """Plot the loss, and each other metric by itself, by epoch.

    Args:
        history: metric, `train_…` or `val_…` -> epochs, from 0, and values.
    """
    metrics: dict[str, list[Line]] = {}
    for name, points in history.items():
        start, _, metric = name.partition("_")
        split = "train" if start == "train" else "validation"
        line = Line(
            split,
            [float(epoch + 1) for epoch, _ in points],
            [float(value) for _, value in points],
            SPLIT_COLORS[split],
            "" if split == "validation" else "6 3",
        )
        metrics.setdefault(metric or name, []).append(line)
    ordered = sorted(metrics, key=lambda metric: metric != "loss")
    x = Axis("epoch", is_whole=True)
    falls = (
        "A loss that falls in training and rises in validation learns rows by heart; one that "
        "still falls at the end is not done."
    )
    other = "The last epochs say whether more of them would help, or fewer."
    return [
        Figure(
            f"Learning curve: {metric}",
            LineChart(metrics[metric], x, Axis(f"{metric}, after each epoch")),
            falls if metric == "loss" else other,
        )
        for metric in ordered
    ]


def plot_threshold_curves(
    curves_by_split: Mapping[str, Mapping[str, np.ndarray]], threshold: float, dashed: Sequence[str]
) -> list[Figure]:
    """Plot precision, recall and F1 over the threshold.

    Args:
        curves_by_split: split -> what `models.threshold.compute_threshold_curves` returns.
        threshold: that the model uses.
        dashed: splits whose curves are dashed.
    """
    lines = [
        Line(
            f"{name}, {split}",
            np.asarray(curves["threshold"], float).tolist(),
            np.asarray(curves[name], float).tolist(),
            color,
            "6 3" if split in dashed else "",
        )
        for split, curves in curves_by_split.items()
        for name, color in METRIC_COLORS.items()
    ]
    chart = LineChart(
        lines,
        Axis("threshold: probability from which on a row is positive", low=0, high=1),
        Axis("metric, 0 to 1", low=0, high=1),
        mark=(threshold, f"the model's: {format_number(threshold, 4)}"),
    )
    reading = (
        "A higher threshold raises precision and lowers recall; curves of both splits that lie "
        "apart mean that the choice does not carry over."
    )
    return [Figure("Precision, recall and F1 by threshold", chart, reading)]


def plot_worst_slices(results: Sequence[SliceResult], metric: str, overall: float) -> list[Figure]:
    """Plot the metric of slices with its interval, the worst on top.

    Args:
        results: slices, the worst first.
        metric: to plot.
        overall: the metric of all rows, a line.
    """
    shown = [r for r in results if metric in r.metrics and not r.is_small][:_SHOWN_SLICES]
    marks = []
    for result in shown:
        interval = result.intervals.get(metric)
        ends = (interval.low, interval.high) if interval else (None, None)
        marks.append(RowMark(result.metrics[metric], *ends))
    chart = RowChart(
        [f"{_cut(r.value)} ({r.rows:,})" for r in shown],
        [RowSeries("", marks, _TEST)],
        Axis(metric),
        reference=(overall, f"all rows: {format_number(overall, 4)}"),
    )
    reading = (
        "Rows with one value each, the worst on top, with their numbers of rows; a line that does "
        "not reach the dashed one is worse or better by more than chance."
    )
    return [Figure("Slices, the worst first", chart, reading)]


def plot_labels(table: Sequence[Mapping[str, float | str]]) -> list[Figure]:
    """Plot precision, recall and F1 of each label.

    Args:
        table: of `MultiLabelScorer.describe_labels`, the worst first.
    """
    shown = table[:_SHOWN_CLASSES]
    series = [
        RowSeries(name, [RowMark(float(row[name])) for row in shown], color)
        for name, color in METRIC_COLORS.items()
    ]
    names = [f"{_cut(str(row['label']))} ({float(row['rows']):,.0f})" for row in shown]
    more = len(table) - len(shown)
    note = f"{more:,} more are not shown." if more > 0 else ""
    chart = RowChart(names, series, Axis("metric, 0 to 1", low=0, high=1))
    reading = "Each label by itself, the worst F1 on top, with its number of rows."
    return [Figure("Labels, the worst F1 first", chart, reading, note)]


def plot_importances(importances: Sequence[Importance], metric: str) -> list[Figure]:
    """Plot how much worse the metric is without each feature, the most important on top."""
    shown = importances[:_SHOWN_FEATURES]
    marks = [RowMark(i.drop, i.drop - i.std, i.drop + i.std) for i in shown]
    chart = RowChart(
        [shorten(item.feature, 60) for item in shown],
        [RowSeries("", marks, SPLIT_COLORS["train"])],
        Axis(f"{metric}: worse by"),
        reference=(0.0, "no difference"),
        are_bars=True,
    )
    reading = (
        "How much worse the model is where a feature's values are dealt anew among the rows; the "
        "thin line is the spread over several deals."
    )
    more = len(importances) - len(shown)
    note = f"{more:,} more are in verdict.json." if more > 0 else ""
    return [Figure("Importance of features", chart, reading, note)]


def _plot_histogram(
    title: str,
    values: np.ndarray,
    weight: np.ndarray | None,
    axis: str,
    reading: str = "How often each size is predicted.",
) -> Figure:
    """Plot a histogram from the first to the last thousandth of the rows."""
    edges = _find_edges(values, _HISTOGRAM_BINS)
    beyond = int(((values < edges[0]) | (values > edges[-1])).sum())
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges, weights=weight)
    series = Series("", counts.tolist(), _TEST)
    chart = BarChart([series], Axis(_name_rows(weight)), Axis(axis), edges=edges.tolist())
    return Figure(title, chart, reading, _describe_beyond(beyond))


def _find_edges(values: np.ndarray, bins: int) -> np.ndarray:
    # Predictions of a split that is not evaluated may be anything: a figure is no reason to fail.
    finite = values[np.isfinite(values)].astype(np.float64)
    low, high = np.quantile(finite, _TAILS) if len(finite) else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1, bins + 1)


def _describe_beyond(rows: int) -> str:
    return f"{rows:,} rows beyond the axes count at their ends." if rows else ""


def _cut(name: str, most: int = 18) -> str:
    """Return the beginning of a name that has a number behind it; tables have it in full."""
    return name if len(name) <= most else f"{name[:most]}…"


def _share(name: str) -> Axis:
    return Axis(name, is_share=True, low=0, high=1)


def _name_rows(*weights: np.ndarray | None) -> str:
    """Return what is counted: rows, or the weight of rows that do not all weigh 1."""
    is_weighted = any(weight is not None and (weight != 1).any() for weight in weights)
    return "weight of rows" if is_weighted else "rows"
