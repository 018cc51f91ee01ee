"""Plot the results of an evaluation as Matplotlib figures; the values are computed elsewhere."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn import metrics as sk

from headrace.evaluate.importance import Importance
from headrace.evaluate.slices import SliceResult
from headrace.labels.calibration import CALIBRATION_BINS
from headrace.number_text import format_number

COLORS = {"train": "#3b6ea5", "validation": "#d08a2e", "test": "#4f9a5a"}
# Classes up to which a confusion matrix shows counts and names; those of more classes overlap.
_READABLE_CLASSES = 30
_COVERAGE_GROUPS = 10
_SHOWN_SLICES, _SHOWN_FEATURES, _SHOWN_CLASSES = 25, 30, 30


def plot_confusion(
    truth: np.ndarray,
    predicted: np.ndarray,
    names: Sequence[str],
    title: str,
    weight: np.ndarray | None = None,
) -> Figure:
    """Plot the rows, or their weight, by true and predicted class.

    Args:
        truth, predicted: class positions, (rows,).
        names: of the classes.
        title: of the plot.
        weight: (rows,); 1 each by default.
    """
    readable = len(names) <= _READABLE_CLASSES
    side = min(14.0, 3.5 + 0.5 * len(names))
    figure = Figure(figsize=(side + 0.5, side), layout="constrained")
    axes = figure.subplots()
    positions = truth.astype(np.int64) * len(names) + predicted
    counts = np.bincount(positions, weight, len(names) ** 2).reshape(len(names), len(names))
    display = sk.ConfusionMatrixDisplay(
        counts, display_labels=[_escape_dollars(name) for name in names]
    )
    display.plot(
        include_values=readable,
        cmap="Blues",
        ax=axes,
        xticks_rotation="horizontal" if max(map(len, names)) <= 2 else "vertical",
    )
    if not readable:
        axes.set(xticks=[], yticks=[])
    for text, count in zip(axes.texts, counts.reshape(-1), strict=False):
        text.set_text(format_number(float(count)))
    axes.set_title(f"{title}{_describe_weight(weight)}")
    return figure


def plot_roc_and_pr(truth: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> Figure:
    """Plot the ROC curve and the precision-recall curve of a binary label.

    Args:
        truth: 0 or 1, (rows,); both must occur.
        probability: of label 1, (rows,).
        weight: (rows,).
    """
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    options = {"sample_weight": weight, "name": "model", "plot_chance_level": True}
    sk.RocCurveDisplay.from_predictions(truth, probability, ax=left, **options)
    left.set_title("ROC")
    sk.PrecisionRecallDisplay.from_predictions(truth, probability, ax=right, **options)
    right.set_title("Precision and recall")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


def plot_calibration(
    probability: np.ndarray, outcome: np.ndarray, event: str, weight: np.ndarray | None = None
) -> Figure:
    """Plot the reliability diagram above the histogram of the predicted probabilities.

    Args:
        probability: (rows,).
        outcome: 1 where what was predicted came true, else 0, (rows,).
        event: words for what the probability is of.
        weight: (rows,); 1 each by default.
    """
    figure = Figure(figsize=(5.5, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    bins = np.clip(np.ceil(probability * CALIBRATION_BINS).astype(int) - 1, 0, len(edges) - 2)
    weights = np.ones(len(bins)) if weight is None else weight
    rows = np.bincount(bins, weights, CALIBRATION_BINS)
    filled = rows > 0
    means = [
        np.bincount(bins, weights * values, CALIBRATION_BINS)[filled] / rows[filled]
        for values in (probability, outcome)
    ]
    above.plot([0, 1], [0, 1], color="black", linewidth=1)
    above.plot(*means, marker="o", color=COLORS["test"])
    above.set(ylabel="share that came true", title=f"Calibration of the probability of {event}")
    above.grid(alpha=0.3)
    below.bar(edges[:-1], rows, width=1 / CALIBRATION_BINS, align="edge", color=COLORS["test"])
    below.set(xlabel="predicted probability", ylabel=_name_rows(weight))
    return figure


def plot_coverage(
    truth: np.ndarray, predicted: np.ndarray, weight: np.ndarray, level: float
) -> Figure:
    """Plot the share of labels at or below a predicted quantile, by the size of the prediction.

    Rows are in ten groups of about as many; a quantile is calibrated where each group is at the
    level, not only all of them together.

    Args:
        truth, predicted: (rows,), in one unit.
        weight: (rows,).
        level: of the quantile.
    """
    figure = Figure(figsize=(5.5, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    limits = np.unique(np.quantile(predicted, np.linspace(0, 1, _COVERAGE_GROUPS + 1)))
    groups = np.clip(
        np.searchsorted(limits, predicted, side="right") - 1, 0, max(0, len(limits) - 2)
    )
    total = np.bincount(groups, weight)
    filled = total > 0
    means, shares = (
        np.bincount(groups, weight * values)[filled] / total[filled]
        for values in (predicted, truth <= predicted)
    )
    above.axhline(level, color="black", linewidth=1)
    above.plot(means, shares, marker="o", color=COLORS["test"])
    above.set(
        ylabel="share of labels at or below it", title=f"Calibration of the quantile {level:g}"
    )
    above.grid(alpha=0.3)
    below.hist(predicted, bins=60, color=COLORS["test"])
    below.set(xlabel="predicted quantile", ylabel="rows")
    return figure


def plot_predictions_and_residuals(
    truth: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None = None
) -> Figure:
    """Plot predictions over true values, and the histogram of the residuals.

    Args:
        truth, predicted: (rows,), in one unit.
        weight: (rows,); 1 each by default.
    """
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    has_weight = slice(None) if weight is None else weight > 0
    truth, predicted = truth[has_weight], predicted[has_weight]
    weight = None if weight is None else weight[has_weight]
    drawn = left.hexbin(
        truth, predicted, weight, gridsize=60, bins="log", mincnt=1, cmap="Blues",
        **({} if weight is None else {"reduce_C_function": np.sum}),
    )  # fmt: skip
    figure.colorbar(drawn, ax=left, label=_name_rows(weight))
    low, high = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
    left.plot([low, high], [low, high], color="black", linewidth=1)
    left.set(xlabel="true value", ylabel="prediction", title="Predictions")
    right.hist(truth - predicted, bins=60, weights=weight, color=COLORS["test"])
    right.axvline(0, color="black", linewidth=1)
    right.set(xlabel="true value - prediction", ylabel=_name_rows(weight), title="Residuals")
    return figure


def plot_by_split(
    values: Mapping[str, np.ndarray],
    axis: str,
    names: Sequence[str] = (),
    weights: Mapping[str, np.ndarray] | None = None,
) -> Figure:
    """Plot how predictions are distributed in each split, as shares of its rows or their weight.

    Args:
        values: split -> numbers, or class positions where there are `names`.
        axis: words for what the predictions are.
        names: of classes.
        weights: split -> (rows,); 1 each by default.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    if weights is None:
        weights = {split: np.ones(len(rows)) for split, rows in values.items()}
    if names:
        shown = min(len(names), _SHOWN_CLASSES)
        width = 0.8 / len(values)
        for number, (split, positions) in enumerate(values.items()):
            weight = weights[split]
            shares = np.bincount(positions, weight, len(names))[:shown] / weight.sum()
            axes.bar(np.arange(shown) + number * width, shares, width, label=split,
                     color=COLORS[split])  # fmt: skip
        axes.set_xticks(
            np.arange(shown) + 0.4 - width / 2, [_escape_dollars(n) for n in names[:shown]]
        )
        axes.tick_params(axis="x", rotation=90 if max(map(len, names)) > 2 else 0)
    else:
        all_values = np.concatenate(list(values.values()))
        low, high = np.quantile(all_values, [0.001, 0.999])
        edges = np.linspace(low, high if high > low else low + 1, 51).tolist()
        for split, numbers in values.items():
            shares = weights[split] / weights[split].sum()
            axes.hist(np.clip(numbers, edges[0], edges[-1]), edges, weights=shares, label=split,
                      histtype="step", color=COLORS[split], linewidth=1.5)  # fmt: skip
    axes.set(
        xlabel=axis,
        ylabel=f"share of the split's {_name_rows(*weights.values())}",
        title="Predictions by split",
    )
    axes.legend()
    return figure


def plot_learning_curves(history: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """Plot the loss, and beside it the other metrics, by epoch.

    Args:
        history: metric -> epochs, from 0, and values.
    """
    losses = [name for name in history if "loss" in name]
    metrics = [name for name in history if "loss" not in name]
    figure = Figure(figsize=(5 * (1 + bool(metrics)), 4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, 1 + bool(metrics)))
    for panel, names in zip(panels, (losses, metrics), strict=False):
        for name in names:
            split = "train" if name.startswith("train") else "validation"
            epochs, values = zip(*history[name], strict=True)
            panel.plot([e + 1 for e in epochs], values, marker="o", label=name,
                       color=COLORS[split])  # fmt: skip
        panel.set(xlabel="epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.3)
        panel.legend()
    figure.suptitle("Learning curves")
    return figure


def plot_threshold_curves(
    curves_by_split: Mapping[str, Mapping[str, np.ndarray]], threshold: float, dashed: Sequence[str]
) -> Figure:
    """Plot precision, recall and F1 over the threshold.

    Args:
        curves_by_split: split -> what `models.threshold.compute_threshold_curves` returns.
        threshold: that the model uses.
        dashed: splits whose curves are dashed.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    colors = {"precision": "#3b6ea5", "recall": "#d08a2e", "f1": "#4f9a5a"}
    for split, curves in curves_by_split.items():
        for name, color in colors.items():
            axes.plot(curves["threshold"], curves[name], color=color, label=f"{name}, {split}",
                      linestyle="--" if split in dashed else "-", linewidth=1.2)  # fmt: skip
    axes.axvline(threshold, color="black", linewidth=1)
    text = f" {format_number(threshold, 4)}"
    axes.annotate(text, (threshold, 1.0), xycoords=("data", "axes fraction"), va="top")
    axes.set(xlabel="threshold", title="Precision and recall by threshold", xlim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(ncols=2, fontsize="small")
    return figure


def plot_worst_slices(results: Sequence[SliceResult], metric: str, overall: float) -> Figure:
    """Plot the metric of slices with its interval, the worst on top.

    Args:
        results: slices, the worst first.
        metric: to plot.
        overall: the metric of all rows, a line.
    """
    shown = [r for r in results if metric in r.metrics and not r.is_small][:_SHOWN_SLICES]
    figure = Figure(figsize=(8, 1.2 + 0.28 * max(1, len(shown))), layout="constrained")
    axes = figure.subplots()
    for height, result in enumerate(shown):
        value = result.metrics[metric]
        interval = result.intervals.get(metric)
        if interval:
            ends = [interval.low, interval.high]
            axes.plot(ends, [height, height], color=COLORS["test"], linewidth=2)
        axes.plot(value, height, "o", color=COLORS["test"])
    axes.axvline(overall, color="black", linewidth=1)
    axes.set_yticks(
        range(len(shown)),
        [f"{_escape_dollars(r.value[:50])} ({r.rows:,})" for r in shown],
        fontsize="small",
    )
    axes.set(xlabel=metric, title="Slices, the worst first; the line is all rows")
    axes.set_ylim(max(1, len(shown)) - 0.5, -0.5)
    axes.grid(alpha=0.3, axis="x")
    return figure


def plot_labels(table: Sequence[Mapping[str, float | str]]) -> Figure:
    """Plot precision, recall and F1 of each label.

    Args:
        table: of `MultiLabelScorer.describe_labels`, the worst first.
    """
    shown = table[:_SHOWN_CLASSES]
    figure = Figure(figsize=(8, 1.6 + 0.36 * len(shown)), layout="constrained")
    axes = figure.subplots()
    heights = np.arange(len(shown))
    colors = {"precision": "#3b6ea5", "recall": "#d08a2e", "f1": "#4f9a5a"}
    for offset, (name, color) in zip((-0.26, 0, 0.26), colors.items(), strict=True):
        values = [float(row[name]) for row in shown]
        axes.barh(heights + offset, values, 0.24, color=color, label=name)
    names = [
        f"{_escape_dollars(str(row['label'])[:50])} ({float(row['rows']):,.0f})" for row in shown
    ]
    axes.set_yticks(heights, names, fontsize="small")
    axes.invert_yaxis()
    more = len(table) - len(shown)
    title = "Labels, the worst F1 first" + (f"; {more} more are not shown" if more > 0 else "")
    axes.set(xlim=(0, 1), title=title)
    axes.grid(alpha=0.3, axis="x")
    figure.legend(ncols=3, fontsize="small", loc="outside lower center")
    return figure


def plot_importances(importances: Sequence[Importance], metric: str) -> Figure:
    """Plot how much worse the metric is without each feature, the most important on top."""
    shown = importances[:_SHOWN_FEATURES]
    figure = Figure(figsize=(8, 1.2 + 0.26 * len(shown)), layout="constrained")
    axes: Axes = figure.subplots()
    axes.barh(
        range(len(shown)),
        [item.drop for item in shown],
        xerr=[item.std for item in shown],
        color=COLORS["train"],
    )
    axes.set_yticks(
        range(len(shown)), [_escape_dollars(i.feature) for i in shown], fontsize="small"
    )
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=1)
    axes.set(xlabel=f"{metric}, worse by", title="Importance by permutation")
    axes.grid(alpha=0.3, axis="x")
    return figure


def _name_rows(*weights: np.ndarray | None) -> str:
    """Return what is counted: rows, or the weight of rows that do not all weigh 1."""
    is_weighted = any(weight is not None and (weight != 1).any() for weight in weights)
    return "weight of rows" if is_weighted else "rows"


def _describe_weight(weight: np.ndarray | None) -> str:
    return ", weight of rows" if _name_rows(weight) != "rows" else ""


def _escape_dollars(name: str) -> str:
    """Escape dollar signs, which Matplotlib would read as the ends of a formula."""
    return name.replace("$", r"\$")
