"""Plots of predictions by the label's kind, as matplotlib figures."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn import metrics as sk

# Classes up to which a confusion matrix shows its counts and names; beyond, they overlap.
_READABLE_CLASSES = 30


def binary_plots(label: np.ndarray, probability: np.ndarray, threshold: float) -> dict[str, Figure]:
    """Figures by file name; curves are left out where only one class occurs.

    Args:
        label: 0 or 1, shape (rows,).
        probability: of label 1, shape (rows,).
        threshold: from which a row counts as positive.
    """
    truth = label.astype(np.int64)
    predicted = (probability >= threshold).astype(np.int64)
    title = f"Confusion matrix, threshold {threshold:g}"
    plots = {"confusion_matrix.png": _confusion(truth, predicted, ("0", "1"), title)}
    if 0 < truth.sum() < len(truth):
        plots["roc_and_pr.png"] = _curves(truth, probability)
    return plots


def classes_plots(
    label: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> dict[str, Figure]:
    """The confusion matrix by file name.

    Args:
        label: class positions, shape (rows,).
        probabilities: shape (rows, classes).
        classes: their names.
    """
    predicted = probabilities.argmax(axis=1)
    return {"confusion_matrix.png": _confusion(label, predicted, classes, "Confusion matrix")}


def regression_plots(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Figure]:
    """Predictions over true values, and the residuals, by file name; both (rows,), in one unit."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _density(figure, left, truth, predicted)
    residuals = truth - predicted
    right.hist(residuals, bins=60)
    right.axvline(0, color="black", linewidth=1)
    right.set(xlabel="true value - prediction", ylabel="rows", title="Residuals")
    return {"predictions_and_residuals.png": figure}


def _density(figure: Figure, axes: Axes, truth: np.ndarray, predicted: np.ndarray) -> None:
    drawn = axes.hexbin(truth, predicted, gridsize=60, bins="log", mincnt=1, cmap="Blues")
    figure.colorbar(drawn, ax=axes, label="rows")
    low, high = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
    axes.plot([low, high], [low, high], color="black", linewidth=1)
    axes.set(xlabel="true value", ylabel="prediction", title="Predictions")


def _confusion(
    truth: np.ndarray, predicted: np.ndarray, names: Sequence[str], title: str
) -> Figure:
    readable = len(names) <= _READABLE_CLASSES
    side = min(14.0, 3.5 + 0.5 * len(names))
    figure = Figure(figsize=(side + 0.5, side), layout="constrained")
    axes = figure.subplots()
    counts = sk.confusion_matrix(truth, predicted, labels=range(len(names)))
    # Matplotlib would read dollars as the begin and end of a formula.
    shown = [name.replace("$", r"\$") for name in names]
    sk.ConfusionMatrixDisplay(counts, display_labels=shown).plot(
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


def _curves(truth: np.ndarray, probability: np.ndarray) -> Figure:
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    sk.RocCurveDisplay.from_predictions(
        truth, probability, ax=left, name="model", plot_chance_level=True
    )
    left.set_title("ROC")
    sk.PrecisionRecallDisplay.from_predictions(
        truth, probability, ax=right, name="model", plot_chance_level=True
    )
    right.set_title("Precision and recall")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure
