"""Bins of scores: every score is in one, none has too many rows, whatever the distribution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.labels.sketch.rank_sums import OneRank
from headrace.labels.sketch.score_bins import ScoreBins, divide_scores
from tests.labels.sketch.thread_sums import ThreadSums, run_ranks

# All of one sign, of both, with what is next to each other and what is furthest apart.
EXTREMES = [0.0, -0.0, 1e-45, -1e-45, 1e-38, 0.5, 0.5 + 2**-24, 1 - 2**-24, 1.0, 3.4e38, -3.4e38]


def divide(scores: np.ndarray, bins: int) -> ScoreBins:
    return divide_scores(np.sort(scores), len(scores), OneRank(), bins)


def test_a_bin_for_every_score_where_there_are_few() -> None:
    bins = divide(np.array([0.25, 0.5, 0.25, 0.75], np.float32), 4)
    assert bins.counts.tolist() == [2, 1, 1]
    assert bins.first[0] == bins.last[0] == 0.25
    assert bins.is_single.all()


def test_equal_scores_are_one_bin_that_is_a_tie() -> None:
    bins = divide(np.full(100, 0.3, np.float32), 10)
    assert (bins.counts.tolist(), bins.is_single.tolist()) == ([100], [True])


def test_minus_0_is_0() -> None:
    assert divide(np.array([0.0, -0.0], np.float32), 1).is_single.all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_differences_of_1e_12_are_resolved(dtype: type) -> None:
    """Whether scores lie near 0 or, in float64, near 1/2."""
    base = 0.0 if dtype is np.float32 else 0.5
    scores = (base + 1e-12 * np.arange(1, 101)).astype(dtype)
    assert divide(scores, 100).counts.tolist() == [1] * 100


@pytest.mark.parametrize(
    "scores",
    [
        np.random.default_rng(0).random(20_000, np.float32),
        np.random.default_rng(1).lognormal(0, 20, 20_000).astype(np.float32),
        (0.3 + 1e-6 * np.random.default_rng(2).random(20_000)).astype(np.float32),
        1 - np.random.default_rng(3).lognormal(-9, 4, 20_000).clip(max=1).astype(np.float32),
        np.random.default_rng(4).normal(size=20_000),
    ],
    ids=["uniform", "40 powers of ten", "within 1e-6", "near 1", "both signs"],
)
def test_any_distribution_is_divided_evenly(scores: np.ndarray) -> None:
    bins = divide(scores, 1000)
    is_full = bins.counts > 20
    assert (bins.first[is_full] == bins.last[is_full]).all()
    assert len(bins.counts) < 4000
    assert bins.counts.sum() == 20_000


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(EXTREMES),
             min_size=1, max_size=60),
    st.sampled_from([np.float32, np.float64]),
    st.integers(1, 64),
    st.integers(1, 4),
    st.randoms(),
)  # fmt: skip
def test_ranks_agree_on_bins_that_have_all_scores(
    values: list[float], dtype: type, bins: int, ranks: int, random: object
) -> None:
    """The same bins at any number of ranks, however the rows lie on them; ranks may have none."""
    scores = np.sort(np.array(values, dtype))
    alone = divide(scores, bins)
    owner = np.array([random.randrange(ranks) for _ in values])  # type: ignore[attr-defined]

    def divide_on_rank(rank: int, sums: ThreadSums) -> ScoreBins:
        return divide_scores(scores[owner == rank], len(scores), sums, bins)

    for together in run_ranks(ranks, divide_on_rank):
        assert np.array_equal(together.first, alone.first)
        assert np.array_equal(together.last, alone.last)
        assert np.array_equal(together.counts, alone.counts)
    assert (alone.first[1:] > alone.last[:-1]).all()
    place = np.searchsorted(alone.first, scores, side="right") - 1
    assert (scores <= alone.last[place]).all()
    assert np.array_equal(np.bincount(place, minlength=len(alone.counts)), alone.counts)


def test_wider_bins_have_about_as_many_rows_each() -> None:
    wide = ScoreBins(np.zeros(6), np.zeros(6), np.array([1, 1, 1, 1, 4, 4])).merge_evenly(3)
    assert wide.tolist() == [0, 0, 0, 0, 1, 2]
