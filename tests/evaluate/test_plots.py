"""Plots show the counts and values that they are given, as SVG and as the images of the run."""

import io
from collections.abc import Sequence

import numpy as np
import pytest

from headrace.evaluate import plots
from headrace.evaluate.draw import draw_image
from headrace.evaluate.importance import Importance
from headrace.evaluate.slices import SliceResult
from headrace.models.threshold import compute_threshold_curves
from headrace.pages.charts.frame import Figure
from tests.labels.scored_rows import LABEL, PROBABILITIES, PROBABILITY, TRUTH
from tests.pages.charts.test_charts import check_drawing
from tests.pages.reading import Reader


def check_figures(figures: Sequence[Figure]) -> Reader:
    """Draw figures both ways; drawing raises where Matplotlib cannot show something."""
    file = io.BytesIO()
    draw_image(figures).savefig(file, format="png")
    assert len(file.getvalue()) > 1000
    for figure in figures:
        check_drawing(figure.chart.draw(figure.title))
        assert figure.reading.endswith(".")
    return Reader("".join(figure.render() for figure in figures))


def test_a_confusion_matrix_has_class_names_counts_and_percentages() -> None:
    predicted = (PROBABILITY >= 0.5).astype(int)
    figures = plots.plot_confusion(LABEL.astype(int), predicted, ("on time", "late"), "t")
    assert sorted(n for row in figures[0].chart.counts for n in row) == [1, 2, 2, 3]
    texts = check_figures(figures).texts
    assert {"late", "on time", "truth", "prediction"} <= {*texts}
    assert sum(text.endswith("%") for text in texts) == 4


def test_a_confusion_matrix_names_the_classes_as_they_are() -> None:
    names = ("low", "$mid_{dle}$", "", "über $1")
    figures = plots.plot_confusion(TRUTH, PROBABILITIES.argmax(axis=1), names, "t")
    assert figures[0].chart.counts == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert {"low", "$mid_{dle}$", "über $1"} <= {*check_figures(figures).texts}


def test_of_very_many_classes_those_with_the_most_errors_are_shown() -> None:
    truth = np.arange(1000)
    predicted = truth.copy()
    predicted[[7, 900]] = [900, 7]
    figures = plots.plot_confusion(truth, predicted, [f"class {n}" for n in truth], "t")
    chart = figures[0].chart
    assert len(chart.names) == 30 and chart.names[-1] == "971 others"
    assert {"class 7", "class 900"} <= {*chart.names}
    assert sum(map(sum, chart.counts)) == 1000
    check_figures(figures)


def test_curves_of_both_kinds() -> None:
    figures = plots.plot_roc_and_pr(LABEL.astype(int), PROBABILITY, np.ones(8))
    assert [figure.title for figure in figures] == ["ROC curve", "Precision and recall"]
    assert figures[1].chart.level[0] == 0.375
    check_figures(figures)


def test_coverage_of_a_quantile_is_plotted_by_the_size_of_the_prediction() -> None:
    predicted = np.repeat([1.0, 2.0], 4)
    truth = np.array([0.0, 0.5, 1.0, 9.0, 1.0, 9.0, 9.0, 9.0])
    weight = np.array([1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 1.0])
    figures = plots.plot_coverage(truth, predicted, weight, 0.9)
    (line,) = figures[0].chart.lines
    np.testing.assert_allclose(line.x, [1.0, 2.0])
    np.testing.assert_allclose(line.y, [0.5, 0.25])  # 3 of a weight of 6, 1 of 4
    check_figures(figures)
    check_figures(plots.plot_coverage(truth, np.ones(8), weight, 0.9))


def test_calibration_plots_the_share_that_came_true_over_the_probability() -> None:
    figures = plots.plot_calibration(np.array([0.1, 0.1, 0.62, 0.62]), np.array([0, 0, 1, 1]), "it")
    (line,) = figures[0].chart.lines
    assert np.round(line.x, 2).tolist() == [0.1, 0.62]
    assert list(line.y) == [0, 1]
    assert [value for value in figures[1].chart.series[0].values if value] == [2, 2]
    check_figures(figures)


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [([1.0, 2.0, 3.0], [1.5, 2.0, 2.5]), ([2.0, 2.0], [2.0, 2.0]), ([1.0], [4.0]),
     ([1.0] * 5000 + [1e9], [1.0] * 5001)],
)  # fmt: skip
def test_regression_plots_put_truth_below_and_residuals_beside(
    truth: list[float], predicted: list[float]
) -> None:
    figures = plots.plot_predictions_and_residuals(np.array(truth), np.array(predicted))
    density, residuals = figures
    assert (density.chart.x.name[:10], density.chart.y.name[:10]) == ("true value", "prediction")
    assert sum(map(sum, density.chart.counts)) == len(truth)
    assert sum(residuals.chart.series[0].values) == len(truth)
    if len(truth) > 5000:
        assert density.note == "1 rows beyond the axes count at their ends."
    check_figures(figures)


def test_predictions_by_split_are_shares() -> None:
    values = {"train": np.full(30, 0.2), "test": np.array([0.2, 0.9, 0.9])}
    figures = plots.plot_by_split(values, "probability")
    shown = {line.name: line for line in figures[0].chart.lines}
    assert round(max(shown["test"].y), 3) == round(2 / 3, 3)
    check_figures(figures)


def test_predictions_of_another_split_that_are_not_finite_are_no_reason_to_fail() -> None:
    bad = np.array([np.nan, np.inf, -np.inf])
    figures = plots.plot_by_split({"train": bad, "test": np.array([0.2, 0.9])}, "probability")
    assert sum(figures[0].chart.lines[1].y) == pytest.approx(1)
    check_figures(figures)
    check_figures(plots.plot_by_split({"train": bad}, "probability"))


def test_classes_by_split() -> None:
    figures = plots.plot_by_split(
        {"validation": np.array([0, 0]), "test": np.array([0, 1])}, "class", ["a", "b"]
    )
    assert [list(s.values) for s in figures[0].chart.series] == [[1, 0], [0.5, 0.5]]
    check_figures(figures)


def test_learning_curves_count_epochs_from_one_and_each_metric_has_a_figure() -> None:
    history = {
        "train_loss": [(0, 0.5), (1, 0.4)], "val_loss": [(0, 0.6)], "val_accuracy": [(0, 0.6)],
        "val_roc_auc": [(0, 0.7)],
    }  # fmt: skip
    figures = plots.plot_learning_curves(history)
    assert [f.title.removeprefix("Learning curve: ") for f in figures] == [
        "loss", "accuracy", "roc_auc",
    ]  # fmt: skip
    assert [line.x[0] for line in figures[0].chart.lines] == [1, 1]
    for figure in figures:
        looks = [look[1:] for look in figure.chart.list_legend()]
        assert len(set(looks)) == len(looks)
    check_figures(figures)


def test_no_two_metrics_have_one_color() -> None:
    curves = compute_threshold_curves(LABEL, PROBABILITY)
    (figure,) = plots.plot_threshold_curves({"validation": curves, "test": curves}, 0.4, ("test",))
    looks = {(color, dashes) for _, color, dashes in figure.chart.list_legend()}
    assert len(looks) == 6
    by_metric = {name.split(",")[0]: color for name, color, _ in figure.chart.list_legend()}
    assert len(set(by_metric.values())) == 3
    check_figures([figure])


def test_labels_are_drawn_up_to_what_can_be_read() -> None:
    rows = {"rows": 1200.0, "precision": 0.9, "recall": 0.5, "f1": 0.64}
    (figure,) = plots.plot_labels([{"label": f"${n}", **rows} for n in range(33)])
    assert figure.chart.names[0] == "$0 (1,200)" and len(figure.chart.names) == 30
    assert figure.note == "3 more are not shown."
    assert len({color for _, color, _ in figure.chart.list_legend()}) == 3
    check_figures([figure])


def test_slices_and_importance_are_drawn() -> None:
    small = SliceResult(("a",), "a=1", 5, True, {"roc_auc": 0.1})
    large = SliceResult(("a",), "a=$2", 500, False, {"roc_auc": 0.6})
    (figure,) = plots.plot_worst_slices([large, small], "roc_auc", 0.7)
    assert list(figure.chart.names) == ["a=$2 (500)"]
    assert figure.chart.reference[0] == 0.7
    check_figures([figure])
    importances = [Importance("x$", 0.2, 0.01), Importance("y", -0.1, 0.02)]
    (figure,) = plots.plot_importances(importances, "roc_auc")
    assert [mark.value for mark in figure.chart.series[0].marks] == [0.2, -0.1]
    check_figures([figure])


@pytest.mark.parametrize("overall", [float("nan"), float("inf")])
def test_a_metric_that_is_not_defined_draws_no_line(overall: float) -> None:
    result = SliceResult(("a",), "a=2", 500, False, {"roc_auc": float("nan")})
    check_figures(plots.plot_worst_slices([result], "roc_auc", overall))
