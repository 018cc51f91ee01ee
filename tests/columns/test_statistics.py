"""Mergeable statistics: equal to NumPy's on the whole, however the rows are distributed."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.columns.statistics import BINS, NumberSummary, StatisticsMerger, TextCounts
from headrace.columns.values import read_column


def merge_parts_of(parts: list[np.ndarray]) -> NumberSummary:
    merger = StatisticsMerger(NumberSummary)
    for part in parts:
        merger.add(NumberSummary.from_numbers(part).to_bytes())
    return merger.merge_parts()


def test_moments_are_right_where_the_naive_formula_fails() -> None:
    values = 1e9 + np.random.default_rng(0).normal(0, 1e-3, 50_000)
    naive = np.sqrt(np.mean(values**2) - np.mean(values) ** 2)
    assert not 0.9e-3 < naive < 1.1e-3
    exact = values.astype(np.longdouble)
    mean, spread = merge_parts_of(np.array_split(values, 7)).compute_moments()
    assert mean == pytest.approx(float(exact.mean()), abs=1e-9)
    assert spread == pytest.approx(float(exact.std()), rel=1e-6)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=200),
    st.integers(1, 5),
    st.floats(0, 1),
)
def test_small_data_have_numpys_quantiles_and_moments(
    values: list[float], parts: int, q: float
) -> None:
    array = np.array(values)
    found = merge_parts_of(np.array_split(array, parts))
    assert found.quantile(q) == pytest.approx(float(np.quantile(array, q)), rel=1e-9, abs=1e-9)
    mean, spread = found.compute_moments()
    assert mean == pytest.approx(float(array.mean()), rel=1e-9, abs=1e-6)
    assert spread == pytest.approx(float(array.std()), rel=1e-6, abs=1e-6)
    assert found.find_limits() == (array.min(), array.max())
    clipped = found.clip_values(-5.0, 10.0).compute_moments()
    assert clipped == pytest.approx(
        (np.clip(array, -5, 10).mean(), np.clip(array, -5, 10).std()), rel=1e-6, abs=1e-6
    )


@pytest.mark.parametrize("shape", ["normal", "lognormal", "two values", "one heavy value"])
def test_quantiles_of_large_data_are_off_by_less_than_a_rank_in_a_thousand(shape: str) -> None:
    rng = np.random.default_rng(1)
    values = {
        "normal": rng.normal(0, 1, 300_000),
        "lognormal": np.exp(rng.normal(0, 2, 300_000)),
        "two values": rng.integers(0, 2, 300_000).astype(float),
        "one heavy value": np.where(rng.random(300_000) < 0.9, 7.0, rng.normal(0, 1, 300_000)),
    }[shape]
    found = merge_parts_of(np.array_split(values, 11))
    for q in (0.001, 0.01, 0.25, 0.5, 0.75, 0.99, 0.999):
        value = found.quantile(q)
        below, upto = np.mean(values < value), np.mean(values <= value)
        assert below - 1 / BINS <= q <= upto + 1 / BINS, (shape, q)
    assert (found.quantile(0), found.quantile(1)) == (values.min(), values.max())
    assert found.compute_moments() == pytest.approx((values.mean(), values.std()), rel=1e-9)
    assert found.rows == len(values)


def test_moments_of_clipped_large_data() -> None:
    values = np.exp(np.random.default_rng(2).normal(0, 2, 200_000))
    found = merge_parts_of(np.array_split(values, 5))
    low, high = found.quantile(0.01), found.quantile(0.99)
    exact = np.clip(values, low, high)
    assert found.clip_values(low, high).compute_moments() == pytest.approx(
        (exact.mean(), exact.std()),
        rel=1e-3,  # a bin that a limit cuts goes by its mean
    )


def test_joined_bins_keep_the_moments_and_most_of_the_ranks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import headrace.columns.statistics as module

    values = np.random.default_rng(3).normal(1e6, 1, 100_000)
    whole = merge_parts_of(np.array_split(values, 20))
    monkeypatch.setattr(module, "_MOST_BINS", 4096)
    joined = merge_parts_of(np.array_split(values, 20))
    assert len(joined.mean) <= 1024 < len(whole.mean)
    assert joined.rows == whole.rows
    assert joined.compute_moments() == pytest.approx(whole.compute_moments(), rel=1e-9)
    assert joined.find_limits() == whole.find_limits()
    assert np.mean(values <= joined.quantile(0.9)) == pytest.approx(0.9, abs=3e-3)


def test_no_rows_and_one_value() -> None:
    nothing = merge_parts_of([np.zeros(0), np.zeros(0)])
    assert (nothing.rows, nothing.compute_moments(), nothing.quantile(0.5)) == (0, (0.0, 0.0), 0.0)
    same = merge_parts_of([np.full(5000, 0.1), np.full(3, 0.1)])
    assert same.compute_moments() == (0.1, 0.0)
    assert same.find_limits() == (0.1, 0.1)


def test_extreme_values_do_not_become_silent_nonsense() -> None:
    _, spread = merge_parts_of([np.array([1e300]), np.array([-1e300])]).compute_moments()
    assert spread == float("inf")


def test_text_counts_add_up_and_are_ordered_by_count_then_bytes() -> None:
    words = ["z"] * 3 + ["é"] * 2 + ["b"] * 2 + ["B"] * 2 + ["once", None]
    parts = [pa.array(words[::2]), pa.array(words[1::2]).dictionary_encode()]
    merger = StatisticsMerger(TextCounts)
    for part in parts:
        merger.add(TextCounts.from_values(read_column(part, "string")).to_bytes())
    found = merger.merge_parts()
    assert found.list_most_frequent() == [("z", 3), ("B", 2), ("b", 2), ("é", 2), ("once", 1)]
    assert found.list_most_frequent(min_count=2, max_size=2) == [("z", 3), ("B", 2)]
    assert found.rows == 10


def test_only_what_occurs_is_counted() -> None:
    whole = pa.array(["a", "b", "a", None]).dictionary_encode()
    counts = TextCounts.from_values(
        read_column(whole.slice(2), "string")
    )  # the dictionary still has b
    assert counts.list_most_frequent() == [("a", 1)]


def test_numbers_are_counted_by_their_text() -> None:
    counts = TextCounts.from_values(read_column(pa.array([0.5, 0.5, 2.0, float("nan")]), "real"))
    assert [(float(v), n) for v, n in counts.list_most_frequent()] == [(0.5, 2), (2.0, 1)]


def test_merger_holds_no_more_than_it_must() -> None:
    merger = StatisticsMerger(TextCounts, most_texts=100)
    for number in range(50):
        words = pa.array([f"w{i}" for i in range(number, number + 30)])
        merger.add(TextCounts.from_values(read_column(words, "string")).to_bytes())
        assert len(merger._parts) < 8
    assert merger.merge_parts().rows == 50 * 30
    assert dict(merger.merge_parts().list_most_frequent())["w40"] == 30


def test_bins_are_limited_and_moments_stay() -> None:
    """A hundred bins of ten values each become ten of a hundred; fewer are left as they are."""
    values = np.arange(1000.0)
    parts = [NumberSummary.from_numbers(values[i::10]) for i in range(10)]
    whole = NumberSummary.merge(parts)
    assert whole.limit_bins(len(whole.mean)) is whole
    limited = whole.limit_bins(10)
    assert limited.count.tolist() == [100] * 10
    assert limited.mean.tolist() == [49.5 + 100 * i for i in range(10)]
    assert limited.find_limits() == (0, 999)
    assert limited.compute_moments() == pytest.approx((499.5, values.std()))
