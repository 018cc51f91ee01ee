"""Plots show the counts and values that they are given."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from pipelines.evaluate.plots import binary_plots, classes_plots, regression_plots
from tests.evaluate.test_metrics import LABEL, PROBABILITIES, PROBABILITY, TRUTH


def drawn(figure: Figure) -> int:
    """Bytes of the PNG file; drawing finds what Matplotlib cannot show."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return len(file.getvalue())


def test_binary_plots_show_the_counts() -> None:
    plots = binary_plots(LABEL, PROBABILITY, 0.5)
    assert sorted(plots) == ["confusion_matrix.png", "roc_and_pr.png"]
    texts = [t.get_text() for t in plots["confusion_matrix.png"].axes[0].texts]
    assert sorted(texts) == ["1", "2", "2", "3"]
    assert all(drawn(figure) > 1000 for figure in plots.values())


def test_one_class_alone_has_no_curves() -> None:
    plots = binary_plots(np.zeros(3), np.array([0.1, 0.2, 0.3]), 0.5)
    assert list(plots) == ["confusion_matrix.png"]


def test_a_confusion_matrix_names_the_classes_as_they_are() -> None:
    names = ("low", "$mid_{dle}$", "", "über $1")
    figure = classes_plots(TRUTH, PROBABILITIES, names)["confusion_matrix.png"]
    axes = figure.axes[0]
    counts = [[int(axes.texts[4 * row + column].get_text()) for column in range(4)]
              for row in range(4)]  # fmt: skip
    assert counts == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    shown = [tick.get_text().replace("\\$", "$") for tick in axes.get_yticklabels()]
    assert shown == list(names)
    assert drawn(figure) > 1000


def test_hundreds_of_classes_are_drawn_without_names() -> None:
    probabilities = np.eye(200, dtype=np.float32)
    figure = classes_plots(np.arange(200), probabilities, [f"class {n}" for n in range(200)])
    axes = figure["confusion_matrix.png"].axes[0]
    assert not axes.texts
    assert not axes.get_yticklabels()
    assert max(figure["confusion_matrix.png"].get_size_inches()) < 16


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [([1.0, 2.0, 3.0], [1.5, 2.0, 2.5]), ([2.0, 2.0], [2.0, 2.0]), ([1.0], [4.0])],
)
def test_regression_plots_put_truth_below_and_residuals_beside(
    truth: list[float], predicted: list[float]
) -> None:
    found = regression_plots(np.array(truth), np.array(predicted))
    figure = found["predictions_and_residuals.png"]
    left, right = figure.axes[:2]
    assert (left.get_xlabel(), left.get_ylabel()) == ("true value", "prediction")
    assert sum(bar.get_height() for bar in right.patches) == len(truth)
    middle = np.mean([bar.get_x() * bar.get_height() for bar in right.patches]) * 60 / len(truth)
    assert middle == pytest.approx(np.mean(truth) - np.mean(predicted), abs=0.05)
    assert drawn(figure) > 1000
