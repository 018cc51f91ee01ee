"""Areas under curves of weighted rows, worked out by hand."""

import numpy as np
import pytest

from headrace.labels.curves import (
    SortedScores,
    compute_average_precision,
    compute_gini,
    compute_roc_auc,
)

TRUTH = np.array([0, 1, 0, 1, 1])
SCORE = np.array([0.2, 0.9, 0.5, 0.5, 0.4])


def test_rows_of_one_score_are_one_threshold() -> None:
    scores = SortedScores.from_rows(TRUTH, SCORE)
    assert scores.order.tolist() == [1, 2, 3, 4, 0]
    assert scores.scores.tolist() == [0.9, 0.5, 0.4, 0.2]
    assert scores.ends.tolist() == [0, 2, 3, 4]
    assert scores.positive.tolist() == [True, False, True, True, False]


def test_positives_are_counted_by_weight() -> None:
    true, false = SortedScores.from_rows(TRUTH, SCORE).sum_positive_weights(
        np.array([1.0, 1.0, 2.0, 0.5, 1.0])
    )
    assert true.tolist() == [1.0, 1.5, 2.5, 2.5]
    assert false.tolist() == [0.0, 2.0, 2.0, 3.0]


def test_areas_by_hand() -> None:
    true, false = SortedScores.from_rows(TRUTH, SCORE).sum_positive_weights(np.ones(5))
    # Of six pairs, 0.9 wins two, the tie 0.5 one and a half, 0.4 one.
    assert compute_roc_auc(true, false) == pytest.approx(4.5 / 6)
    # Recall grows by a third at each of the precisions 1/1, 2/3 and 3/4.
    assert compute_average_precision(true, false) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


@pytest.mark.parametrize("truth", [np.zeros(3), np.ones(3)])
def test_one_class_alone_has_no_area(truth: np.ndarray) -> None:
    counts = SortedScores.from_rows(truth, np.array([0.1, 0.2, 0.3])).sum_positive_weights(
        np.ones(3)
    )
    assert np.isnan(compute_roc_auc(*counts))
    assert np.isnan(compute_average_precision(*counts))
    assert compute_gini(truth, np.array([0.1, 0.2, 0.3])) == 0


def test_separation_is_0_to_1() -> None:
    assert compute_gini(TRUTH, SCORE) == pytest.approx(2 * 4.5 / 6 - 1)
    assert compute_gini(TRUTH, -SCORE) == 0
    assert compute_gini(TRUTH, TRUTH) == 1
