"""Areas and quantiles of bins, worked out by hand; the exact ones are within their bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from headrace.labels.quantiles import compute_weighted_quantiles
from headrace.labels.sketch.binned_curves import (
    bound_areas,
    interpolate_quantiles,
    measure_areas,
    measure_quantiles,
)
from headrace.labels.sketch.rank_sums import OneRank
from headrace.labels.sketch.score_bins import divide_scores

SCORES = st.sampled_from([0.0, 1e-45, 1e-12, 2e-12, 0.1, 0.1000001, 0.5, 1 - 2**-24, 1.0])


def test_a_bin_of_both_classes_counts_half_and_may_count_none_or_all() -> None:
    """Of 2 x 2 pairs one is won, and that within the upper bin is unknown, as that of the lower."""
    ones = np.ones(2)
    area, average = bound_areas(ones, ones, np.array([False, False]))
    assert (area.value, area.bound) == (0.5, pytest.approx(0.25))
    # Precisions at best 1 and 2/3; at worst 0 and 1/3; as ties 1/2 and 1/2.
    assert average.value == 0.5
    assert average.bound == pytest.approx(1 / 3)


def test_a_bin_of_one_score_is_a_tie_and_known() -> None:
    area, average = bound_areas(np.ones(2), np.ones(2), np.array([True, True]))
    assert (area.bound, average.bound) == (pytest.approx(0, abs=1e-14),) * 2


def test_of_one_class_there_is_no_area() -> None:
    """Not 0, as tensorflow/tensorflow#41081 has it."""
    area, average = bound_areas(np.ones(2), np.zeros(2), np.array([True, True]))
    assert np.isnan([area.value, average.value]).all()
    of_draws, _ = measure_areas(np.array([[1.0, 0], [0, 0]]), np.array([[0, 1.0], [1, 1]]))
    assert of_draws[0] == 0.0
    assert np.isnan(of_draws[1])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), SCORES, st.sampled_from([0.0, 0.25, 1.0, 3.0])),
             min_size=2, max_size=60),
    st.integers(1, 20),
)  # fmt: skip
def test_the_exact_areas_are_within_their_bounds(
    rows: list[tuple[bool, float, float]], bins: int
) -> None:
    """Of ties, of weights of 0, of scores that differ by 1e-12."""
    truth, score, weight = (np.array(values) for values in zip(*rows, strict=True))
    if not (weight @ truth > 0 and weight @ ~truth > 0):
        return
    order = np.argsort(score.astype(np.float32), kind="stable")
    truth, weight, ascending = truth[order], weight[order], score[order].astype(np.float32)
    divided = divide_scores(ascending, len(rows), OneRank(), bins)
    starts = np.searchsorted(ascending, divided.first)
    positive, negative = (np.add.reduceat(weight * side, starts) for side in (truth, ~truth))
    area, average = bound_areas(positive, negative, divided.is_single)
    exact = roc_auc_score(truth, ascending, sample_weight=weight)
    assert abs(area.value - exact) <= area.bound
    exact = average_precision_score(truth, ascending, sample_weight=weight)
    assert abs(average.value - exact) <= average.bound


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1e6, width=32) | st.sampled_from([0.0, 1.0, 1e300]),
                       st.sampled_from([0.0, 0.25, 1.0, 3.0])), min_size=1, max_size=60)
    .filter(lambda rows: sum(weight for _, weight in rows) > 0),
    st.integers(1, 20),
)  # fmt: skip
def test_the_exact_quantiles_are_within_their_bounds(
    rows: list[tuple[float, float]], bins: int
) -> None:
    shares = [0.5, 0.9, 0.95, 0.99]
    values, weight = (np.array(column) for column in zip(*sorted(rows), strict=True))
    divided = divide_scores(values, len(rows), OneRank(), bins)
    starts = np.searchsorted(values, divided.first)
    by_bin = np.add.reduceat(weight, starts)
    quantiles, bounds = measure_quantiles(by_bin, divided.first, divided.last, shares)
    exact = compute_weighted_quantiles(values, weight, shares)
    assert (np.abs(quantiles - exact) <= bounds + 1e-15 * quantiles).all()


def test_quantiles_of_draws_lie_evenly_within_a_bin() -> None:
    weight = np.array([[10.0, 10.0], [0.0, 10.0]])
    ends = np.array([0.0, 10.0]), np.array([10.0, 20.0])
    assert interpolate_quantiles(weight, *ends, [0.25, 0.75]).tolist() == [[5, 15], [12.5, 17.5]]
