"""Pictures of an evaluation, as matplotlib figures; what they show is computed elsewhere."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn import metrics as sk

from headrace.evaluate.calibration import CALIBRATION_BINS
from headrace.evaluate.importance import Importance
from headrace.evaluate.slices import SliceResult

COLORS = {"train": "#3b6ea5", "validation": "#d08a2e", "test": "#4f9a5a"}
# Classes up to which a confusion matrix shows its counts and names; beyond, they overlap.
_READABLE_CLASSES = 30
_SHOWN_SLICES, _SHOWN_FEATURES, _SHOWN_CLASSES = 25, 30, 30


def confusion(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Rows by true and predicted class.

    Args:
        truth, predicted: class positions, (rows,).
        names: of the classes.
        title: above it.
    """
    readable = len(names) <= _READABLE_CLASSES
    side = min(14.0, 3.5 + 0.5 * len(names))
    figure = Figure(figsize=(side + 0.5, side), layout="constrained")
    axes = figure.subplots()
    counts = sk.confusion_matrix(truth, predicted, labels=range(len(names)))
    sk.ConfusionMatrixDisplay(counts, display_labels=[_plain(name) for name in names]).plot(
        include_values=readable,
        values_format=",",
        cmap="Blues",
        ax=axes,
        xticks_rotation="horizontal" if max(map(len, names)) <= 2 else "vertical",
    )
    if not readable:
        axes.set(xticks=[], yticks=[])
    axes.set_title(title)
    return figure


def roc_and_pr(truth: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> Figure:
    """Both curves of a binary label, of which both values occur; all (rows,)."""
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


def calibration(probability: np.ndarray, came_true: np.ndarray, what: str) -> Figure:
    """How often it came true, by the probability that was predicted; and how often that was.

    Args:
        probability: (rows,).
        came_true: 0 or 1, (rows,).
        what: of which the probability is.
    """
    figure = Figure(figsize=(5.5, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    place = np.clip(np.ceil(probability * CALIBRATION_BINS).astype(int) - 1, 0, len(edges) - 2)
    rows = np.bincount(place, minlength=CALIBRATION_BINS)
    there = rows > 0
    means = [
        np.bincount(place, values, CALIBRATION_BINS)[there] / rows[there]
        for values in (probability, came_true)
    ]
    above.plot([0, 1], [0, 1], color="black", linewidth=1)
    above.plot(*means, marker="o", color=COLORS["test"])
    above.set(ylabel="share that came true", title=f"Calibration of the probability of {what}")
    above.grid(alpha=0.3)
    below.bar(edges[:-1], rows, width=1 / CALIBRATION_BINS, align="edge", color=COLORS["test"])
    below.set(xlabel="predicted probability", ylabel="rows")
    return figure


def predictions_and_residuals(truth: np.ndarray, predicted: np.ndarray) -> Figure:
    """Predictions over true values, and the residuals; both (rows,), in one unit."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    drawn = left.hexbin(truth, predicted, gridsize=60, bins="log", mincnt=1, cmap="Blues")
    figure.colorbar(drawn, ax=left, label="rows")
    low, high = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
    left.plot([low, high], [low, high], color="black", linewidth=1)
    left.set(xlabel="true value", ylabel="prediction", title="Predictions")
    right.hist(truth - predicted, bins=60, color=COLORS["test"])
    right.axvline(0, color="black", linewidth=1)
    right.set(xlabel="true value - prediction", ylabel="rows", title="Residuals")
    return figure


def by_split(values: Mapping[str, np.ndarray], what: str, names: Sequence[str] = ()) -> Figure:
    """How predictions are distributed in each split, as shares of its rows.

    Args:
        values: split -> numbers, or class positions where `names` has the classes.
        what: the predictions are.
        names: of classes.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    if names:
        shown = min(len(names), _SHOWN_CLASSES)
        width = 0.8 / len(values)
        for number, (split, positions) in enumerate(values.items()):
            shares = np.bincount(positions, minlength=len(names))[:shown] / len(positions)
            axes.bar(np.arange(shown) + number * width, shares, width, label=split,
                     color=COLORS[split])  # fmt: skip
        axes.set_xticks(np.arange(shown) + 0.4 - width / 2, [_plain(n) for n in names[:shown]])
        axes.tick_params(axis="x", rotation=90 if max(map(len, names)) > 2 else 0)
    else:
        together = np.concatenate(list(values.values()))
        low, high = np.quantile(together, [0.001, 0.999])
        edges = np.linspace(low, high if high > low else low + 1, 51).tolist()
        for split, numbers in values.items():
            shares = np.full(len(numbers), 1 / len(numbers))
            axes.hist(np.clip(numbers, edges[0], edges[-1]), edges, weights=shares, label=split,
                      histtype="step", color=COLORS[split], linewidth=1.5)  # fmt: skip
    axes.set(xlabel=what, ylabel="share of the split's rows", title="Predictions by split")
    axes.legend()
    return figure


def learning_curves(history: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """Loss and the other metrics by epoch; `history` has epochs and values by metric."""
    others = [name for name in history if "loss" not in name]
    figure = Figure(figsize=(5 * (1 + bool(others)), 4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, 1 + bool(others)))
    for panel, names in zip(panels, ([n for n in history if "loss" in n], others), strict=False):
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


def threshold_curves(
    found: Mapping[str, Mapping[str, np.ndarray]], threshold: float, others: Sequence[str]
) -> Figure:
    """Precision, recall and F1 over the threshold.

    Args:
        found: split -> as `models.threshold.thresholds` returns it.
        threshold: that is in force.
        others: splits to draw dashed.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    colors = {"precision": "#3b6ea5", "recall": "#d08a2e", "f1": "#4f9a5a"}
    for split, curves in found.items():
        for name, color in colors.items():
            axes.plot(curves["threshold"], curves[name], color=color, label=f"{name}, {split}",
                      linestyle="--" if split in others else "-", linewidth=1.2)  # fmt: skip
    axes.axvline(threshold, color="black", linewidth=1)
    axes.annotate(f" {threshold:.4g}", (threshold, 1.0), xycoords=("data", "axes fraction"),
                  va="top")  # fmt: skip
    axes.set(xlabel="threshold", title="Precision and recall by threshold", xlim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(ncols=2, fontsize="small")
    return figure


def worst_slices(results: Sequence[SliceResult], metric: str, whole: float) -> Figure:
    """The metric of slices with its interval, the worst on top; `whole` is that of all rows."""
    shown = [r for r in results if metric in r.metrics and not r.small][:_SHOWN_SLICES]
    figure = Figure(figsize=(8, 1.2 + 0.28 * max(1, len(shown))), layout="constrained")
    axes = figure.subplots()
    for place, result in enumerate(shown):
        value = result.metrics[metric]
        found = result.intervals.get(metric)
        if found:
            axes.plot([found.low, found.high], [place, place], color=COLORS["test"], linewidth=2)
        axes.plot(value, place, "o", color=COLORS["test"])
    axes.axvline(whole, color="black", linewidth=1)
    axes.set_yticks(
        range(len(shown)), [f"{_plain(r.value[:50])} ({r.rows:,})" for r in shown], fontsize="small"
    )
    axes.set(xlabel=metric, title="Slices, the worst first; the line is all rows")
    axes.set_ylim(max(1, len(shown)) - 0.5, -0.5)
    axes.grid(alpha=0.3, axis="x")
    return figure


def label_bars(table: Sequence[Mapping[str, float | str]]) -> Figure:
    """Precision, recall and F1 of each label, as `labels.LabelsScorer.of_labels` has them."""
    shown = table[:_SHOWN_CLASSES]
    figure = Figure(figsize=(8, 1.6 + 0.36 * len(shown)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(shown))
    colors = {"precision": "#3b6ea5", "recall": "#d08a2e", "f1": "#4f9a5a"}
    for offset, (name, color) in zip((-0.26, 0, 0.26), colors.items(), strict=True):
        values = [float(row[name]) for row in shown]
        axes.barh(places + offset, values, 0.24, color=color, label=name)
    names = [f"{_plain(str(row['label'])[:50])} ({float(row['rows']):,.0f})" for row in shown]
    axes.set_yticks(places, names, fontsize="small")
    axes.invert_yaxis()
    more = len(table) - len(shown)
    title = "Labels, the worst F1 first" + (f"; {more} more are not shown" if more > 0 else "")
    axes.set(xlim=(0, 1), title=title)
    axes.grid(alpha=0.3, axis="x")
    figure.legend(ncols=3, fontsize="small", loc="outside lower center")
    return figure


def importance_bars(found: Sequence[Importance], metric: str) -> Figure:
    """How much worse the metric is without each feature, the most important on top."""
    shown = found[:_SHOWN_FEATURES]
    figure = Figure(figsize=(8, 1.2 + 0.26 * len(shown)), layout="constrained")
    axes: Axes = figure.subplots()
    axes.barh(
        range(len(shown)),
        [item.loss for item in shown],
        xerr=[item.spread for item in shown],
        color=COLORS["train"],
    )
    axes.set_yticks(range(len(shown)), [_plain(i.feature) for i in shown], fontsize="small")
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=1)
    axes.set(xlabel=f"{metric}, worse by", title="Importance by permutation")
    axes.grid(alpha=0.3, axis="x")
    return figure


def _plain(name: str) -> str:
    """Matplotlib would read dollars as the begin and end of a formula."""
    return name.replace("$", r"\$")
