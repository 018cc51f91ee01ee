"""The choice of a threshold, by hand and as a property."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from headrace.errors import TrainError
from headrace.models.threshold import choose_threshold, compute_threshold_curves

TRUTH = np.array([1, 1, 0, 1, 0, 0])
PROBABILITY = np.array([0.9, 0.8, 0.7, 0.6, 0.3, 0.1])


def test_every_threshold_by_hand() -> None:
    curves = compute_threshold_curves(TRUTH, PROBABILITY)
    assert curves["threshold"].tolist() == [0.9, 0.8, 0.7, 0.6, 0.3, 0.1]
    assert curves["precision"] == pytest.approx([1, 1, 2 / 3, 3 / 4, 3 / 5, 1 / 2])
    assert curves["recall"] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1, 1, 1])
    assert curves["f1"].argmax() == 3


def test_choices_by_hand() -> None:
    best = choose_threshold(TRUTH, PROBABILITY, "max_f1")
    assert best.threshold == pytest.approx((0.6 + 0.3) / 2)  # half-way to the next probability
    assert (best.precision, best.recall) == (pytest.approx(3 / 4), 1)
    precise = choose_threshold(TRUTH, PROBABILITY, "precision", 0.9)
    assert (precise.precision, precise.recall) == (1, pytest.approx(2 / 3))
    assert precise.threshold == pytest.approx(0.75)
    recalled = choose_threshold(TRUTH, PROBABILITY, "recall", 0.6)
    assert (recalled.precision, recalled.recall) == (1, pytest.approx(2 / 3))


def test_a_limit_that_no_threshold_reaches_is_refused_with_the_best() -> None:
    with pytest.raises(TrainError, match=r"precision of 0.9.*the best is 0\.5\."):
        choose_threshold(np.array([0, 1]), np.array([0.9, 0.1]), "precision", 0.9)
    with pytest.raises(TrainError, match="no positive row"):
        choose_threshold(np.zeros(3), np.array([0.1, 0.2, 0.3]), "max_f1")


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.5, 0.50001, 0.9]) | st.floats(0, 1)),
        min_size=2,
        max_size=40,
    ).filter(lambda rows: any(truth for truth, _ in rows))
)
def test_no_other_threshold_has_a_higher_f1(rows: list[tuple[bool, float]]) -> None:
    truth, probability = (np.array(column) for column in zip(*rows, strict=True))
    chosen = choose_threshold(truth, probability, "max_f1")
    best = max(sk.f1_score(truth, probability >= t, zero_division=0) for t in probability)
    assert chosen.f1 == pytest.approx(best)
    if 1e-6 < chosen.threshold < 1 - 1e-6:  # it does what it was chosen for
        again = sk.f1_score(truth, probability >= chosen.threshold, zero_division=0)
        assert again == pytest.approx(best)


def test_a_weight_of_2_counts_as_two_rows() -> None:
    weight = np.array([2.0, 1.0, 0.0, 3.0, 1.0])
    truth, probability = np.array([1, 0, 1, 0, 1]), np.array([0.9, 0.8, 0.8, 0.4, 0.2])
    repeated = np.repeat(np.arange(5), weight.astype(int))
    curves = compute_threshold_curves(truth, probability, weight)
    expected = compute_threshold_curves(truth[repeated], probability[repeated])
    assert {n: c.tolist() for n, c in curves.items()} == {
        n: c.tolist() for n, c in expected.items()
    }
    best = choose_threshold(truth, probability, "max_f1", weight=weight)
    assert best == choose_threshold(truth[repeated], probability[repeated], "max_f1")
