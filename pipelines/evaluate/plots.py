"""Plots of a binary classifier's predictions, as matplotlib figures."""

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay


def binary_plots(label: np.ndarray, probability: np.ndarray, threshold: float) -> dict[str, Figure]:
    """Figures by file name; curves are left out where only one class occurs.

    Args:
        label: 0 or 1, shape (rows,).
        probability: of label 1, shape (rows,).
        threshold: from which a row counts as positive.
    """
    truth = label.astype(np.int64)
    plots = {"confusion_matrix.png": _confusion(truth, probability >= threshold, threshold)}
    if 0 < truth.sum() < len(truth):
        plots["roc_and_pr.png"] = _curves(truth, probability)
    return plots


def _confusion(truth: np.ndarray, predicted: np.ndarray, threshold: float) -> Figure:
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    ConfusionMatrixDisplay.from_predictions(
        truth, predicted.astype(np.int64), labels=[0, 1], values_format=",", cmap="Blues", ax=axes
    )
    axes.set_title(f"Confusion matrix, threshold {threshold:g}")
    return figure


def _curves(truth: np.ndarray, probability: np.ndarray) -> Figure:
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    RocCurveDisplay.from_predictions(
        truth, probability, ax=left, name="model", plot_chance_level=True
    )
    left.set_title("ROC")
    PrecisionRecallDisplay.from_predictions(
        truth, probability, ax=right, name="model", plot_chance_level=True
    )
    right.set_title("Precision and recall")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure
