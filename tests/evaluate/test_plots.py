"""Plots show the counts and values that they are given, and Matplotlib can draw them."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from headrace.evaluate import plots
from headrace.evaluate.importance import Importance
from headrace.evaluate.slices import SliceResult
from headrace.models.threshold import compute_threshold_curves
from tests.labels.scored_rows import LABEL, PROBABILITIES, PROBABILITY, TRUTH


def draw_figure(figure: Figure) -> int:
    """Return the bytes of the PNG file; drawing raises where Matplotlib cannot show something."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return len(file.getvalue())


def test_a_confusion_matrix_shows_the_counts() -> None:
    predicted = (PROBABILITY >= 0.5).astype(int)
    figure = plots.plot_confusion(LABEL.astype(int), predicted, ("0", "1"), "t")
    texts = [t.get_text() for t in figure.axes[0].texts]
    assert sorted(texts) == ["1", "2", "2", "3"]
    assert draw_figure(figure) > 1000


def test_a_confusion_matrix_names_the_classes_as_they_are() -> None:
    names = ("low", "$mid_{dle}$", "", "über $1")
    figure = plots.plot_confusion(TRUTH, PROBABILITIES.argmax(axis=1), names, "t")
    axes = figure.axes[0]
    counts = [[int(axes.texts[4 * row + column].get_text()) for column in range(4)]
              for row in range(4)]  # fmt: skip
    assert counts == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    shown = [tick.get_text().replace("\\$", "$") for tick in axes.get_yticklabels()]
    assert shown == list(names)
    assert draw_figure(figure) > 1000


def test_hundreds_of_classes_are_drawn_without_names() -> None:
    classes = np.arange(200)
    figure = plots.plot_confusion(classes, classes, [f"class {n}" for n in range(200)], "t")
    axes = figure.axes[0]
    assert not axes.texts
    assert not axes.get_yticklabels()
    assert max(figure.get_size_inches()) < 16


def test_curves_of_both_kinds() -> None:
    figure = plots.plot_roc_and_pr(LABEL.astype(int), PROBABILITY, np.ones(8))
    assert [axes.get_title() for axes in figure.axes] == ["ROC", "Precision and recall"]
    assert draw_figure(figure) > 1000


def test_coverage_of_a_quantile_is_plotted_by_the_size_of_the_prediction() -> None:
    predicted = np.repeat([1.0, 2.0], 4)
    truth = np.array([0.0, 0.5, 1.0, 9.0, 1.0, 9.0, 9.0, 9.0])
    weight = np.array([1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 1.0])
    figure = plots.plot_coverage(truth, predicted, weight, 0.9)
    _, line = figure.axes[0].get_lines()
    np.testing.assert_allclose(line.get_xdata(), [1.0, 2.0])
    np.testing.assert_allclose(line.get_ydata(), [0.5, 0.25])  # 3 of a weight of 6, 1 of 4
    assert draw_figure(figure) > 1000
    assert draw_figure(plots.plot_coverage(truth, np.ones(8), weight, 0.9)) > 1000


def test_calibration_plots_the_share_that_came_true_over_the_probability() -> None:
    figure = plots.plot_calibration(np.array([0.1, 0.1, 0.62, 0.62]), np.array([0, 0, 1, 1]), "it")
    _, line = figure.axes[0].get_lines()
    assert np.round(line.get_xdata(), 2).tolist() == [0.1, 0.62]
    assert line.get_ydata().tolist() == [0, 1]
    assert [int(bar.get_height()) for bar in figure.axes[1].patches if bar.get_height()] == [2, 2]


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [([1.0, 2.0, 3.0], [1.5, 2.0, 2.5]), ([2.0, 2.0], [2.0, 2.0]), ([1.0], [4.0])],
)
def test_regression_plots_put_truth_below_and_residuals_beside(
    truth: list[float], predicted: list[float]
) -> None:
    figure = plots.plot_predictions_and_residuals(np.array(truth), np.array(predicted))
    predictions, residuals = figure.axes[0], figure.axes[1]
    assert (predictions.get_xlabel(), predictions.get_ylabel()) == ("true value", "prediction")
    assert residuals.get_xlabel() == "true value - prediction"
    assert sum(bar.get_height() for bar in residuals.patches) == len(truth)
    assert draw_figure(figure) > 1000


def test_predictions_by_split_are_shares() -> None:
    values = {"train": np.full(30, 0.2), "test": np.array([0.2, 0.9, 0.9])}
    figure = plots.plot_by_split(values, "probability")
    shown = {p.get_label(): p for p in figure.axes[0].patches}
    heights = np.diff(shown["test"].get_xy()[:, 1])
    assert np.round(heights.max(), 3) == round(2 / 3, 3)
    assert draw_figure(figure) > 1000


def test_classes_by_split() -> None:
    figure = plots.plot_by_split(
        {"validation": np.array([0, 0]), "test": np.array([0, 1])}, "class", ["a", "b"]
    )
    assert [bar.get_height() for bar in figure.axes[0].patches] == [1, 0, 0.5, 0.5]


def test_learning_curves_count_epochs_from_one() -> None:
    figure = plots.plot_learning_curves(
        {"train_loss": [(0, 0.5), (1, 0.4)], "val_loss": [(0, 0.6)]}
    )
    (axes,) = figure.axes
    assert [line.get_xdata()[0] for line in axes.get_lines()] == [1, 1]
    both = plots.plot_learning_curves({"train_loss": [(0, 0.5)], "val_accuracy": [(0, 0.6)]})
    assert len(both.axes) == 2


def test_labels_are_drawn_up_to_what_can_be_read() -> None:
    rows = {"rows": 1200.0, "precision": 0.9, "recall": 0.5, "f1": 0.64}
    table = [{"label": f"${n}", **rows} for n in range(33)]
    figure = plots.plot_labels(table)
    (axes,) = figure.axes
    assert axes.get_yticklabels()[0].get_text() == r"\$0 (1,200)"
    assert len(axes.get_yticklabels()) == 30
    assert axes.get_title() == "Labels, the worst F1 first; 3 more are not shown"
    assert draw_figure(figure) > 1000


def test_thresholds_slices_and_importance_are_drawn() -> None:
    curves = compute_threshold_curves(LABEL, PROBABILITY)
    figure = plots.plot_threshold_curves({"validation": curves, "test": curves}, 0.4, ("test",))
    assert draw_figure(figure) > 1000
    small = SliceResult(("a",), "a=1", 5, True, {"roc_auc": 0.1})
    large = SliceResult(("a",), "a=$2", 500, False, {"roc_auc": 0.6})
    figure = plots.plot_worst_slices([large, small], "roc_auc", 0.7)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == [r"a=\$2 (500)"]
    bars = plots.plot_importances([Importance("x", 0.1, 0.01), Importance("y", 0.0, 0.0)], "mae")
    assert [t.get_text() for t in bars.axes[0].get_yticklabels()] == ["x", "y"]
    assert draw_figure(bars) > 1000
