"""Sums that several scorers share, worked out by hand; ROC AUC by ranks as scikit-learn has it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from headrace.errors import ModelError
from headrace.labels.scoring import (
    AVERAGES,
    average_classes,
    check_predictions,
    compute_roc_auc_by_ranks,
    count_confusion,
    divide_or_zero,
    find_occurring_classes,
    list_directions,
    measure_classes,
)
from tests.labels.scored_rows import SCORES

TRUTH = np.array([0, 0, 1, 1])
PREDICTED = np.array([0, 1, 1, 0])
WEIGHT = np.array([1.0, 2.0, 3.0, 0.5])


def test_a_confusion_matrix_is_truth_by_prediction() -> None:
    matrix = count_confusion(TRUTH, PREDICTED, WEIGHT, 3)
    assert matrix.tolist() == [[1, 2, 0], [0.5, 3, 0], [0, 0, 0]]


def test_classes_occur_among_labels_or_predictions() -> None:
    occurring = find_occurring_classes(np.array([0, 0]), np.array([0, 2]), 4)
    assert occurring.tolist() == [True, False, True, False]


def test_averages_by_hand() -> None:
    matrix = count_confusion(TRUTH, PREDICTED, WEIGHT, 3)
    precision, recall, f1 = measure_classes(matrix)
    assert precision.tolist() == pytest.approx([1 / 1.5, 3 / 5, 0])
    assert recall.tolist() == pytest.approx([1 / 3, 3 / 3.5, 0])
    assert f1.tolist() == pytest.approx([2 / 4.5, 6 / 8.5, 0])
    averages = average_classes(matrix, np.array([True, True, False]))
    assert set(averages) == set(AVERAGES)
    assert averages["precision_macro"] == pytest.approx((1 / 1.5 + 3 / 5) / 2)
    assert averages["recall_micro"] == pytest.approx(4 / 6.5)
    assert averages["f1_weighted"] == pytest.approx((3 * 2 / 4.5 + 3.5 * 6 / 8.5) / 6.5)


def test_nothing_divided_by_nothing_is_0() -> None:
    assert divide_or_zero(np.array([1.0, 0.0]), np.array([2.0, 0.0])).tolist() == [0.5, 0]


def test_directions_by_metric() -> None:
    directions = list_directions(("accuracy",), ("mae", "mse"))
    assert directions == {"accuracy": "higher", "mae": "lower", "mse": "lower"}


def test_predictions_that_are_not_finite_are_counted_by_row() -> None:
    predicted = np.array([[0.1, np.nan], [np.inf, np.nan], [0.5, 0.5]])
    with pytest.raises(ModelError, match="2 of 3 predictions are not finite"):
        check_predictions(np.zeros(3), predicted)
    with pytest.raises(ModelError, match="there are no rows to evaluate on"):
        check_predictions(np.zeros(0), np.zeros(0))
    check_predictions(np.zeros(1), np.ones(1))


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), SCORES), min_size=2, max_size=40))
def test_roc_auc_by_ranks_equals_that_of_scikit_learn(rows: list[tuple[bool, float]]) -> None:
    truth, score = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    if 0 < truth.sum() < len(truth):
        area = compute_roc_auc_by_ranks(truth, score)
        assert area == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
