"""What a sample tells lies within the error that is stated, and is exact where it is everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.columns.sampling import (
    bound_share,
    compute_quantile,
    compute_rank_error,
    compute_skewness,
    estimate_distinct,
    estimate_multiplicity,
)

SHARES = (0.01, 0.25, 0.5, 0.99)


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_quantiles_of_all_values_are_those_of_numpy(values: list[float]) -> None:
    ordered = np.sort(values)
    for share in SHARES:
        found = compute_quantile(ordered, share, len(values), (ordered[0], ordered[-1]))
        expected = float(np.quantile(ordered, share))
        assert found.value == pytest.approx(expected, rel=1e-12, abs=1e-9)
        assert found.low == found.value == found.high


@pytest.mark.parametrize("draw", ["normal", "zeros", "few", "long tail"])
def test_true_quantiles_lie_between_the_bounds_in_99_of_100_samples(draw: str) -> None:
    rng = np.random.default_rng(len(draw))
    rows, sampled, repeats = 20_000, 1_000, 300
    values = {
        "normal": rng.normal(size=rows),
        "zeros": np.where(rng.random(rows) < 0.97, 0.0, rng.exponential(size=rows)),
        "few": rng.integers(0, 3, rows).astype(np.float64),
        "long tail": rng.lognormal(0, 3, rows),
    }[draw]
    limits = (float(values.min()), float(values.max()))
    # The value of which this share is below, without interpolation.
    true = {share: float(np.sort(values)[int(rows * share)]) for share in SHARES}
    missed = dict.fromkeys(SHARES, 0)
    for _ in range(repeats):
        ordered = np.sort(rng.choice(values, sampled, replace=False))
        for share in SHARES:
            found = compute_quantile(ordered, share, rows, limits)
            assert found.low <= found.value <= found.high
            missed[share] += not found.low <= true[share] <= found.high
    assert max(missed.values()) <= 0.01 * repeats + 3, missed


def test_a_constant_has_its_only_value_as_every_quantile() -> None:
    found = compute_quantile(np.zeros(100), 0.5, 10_000, (0.0, 0.0))
    assert (found.low, found.value, found.high) == (0.0, 0.0, 0.0)


def test_the_rank_error_falls_with_the_sample_to_0() -> None:
    errors = [compute_rank_error(n, 100_000) for n in (0, 10, 1_000, 16_384, 99_999, 100_000)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == 1.0
    assert errors[-1] == 0.0
    # Hoeffding's sqrt(ln(200) / (2 * 16384)), of a table that is much larger.
    assert compute_rank_error(16_384, 10**9) == pytest.approx(0.01272, abs=1e-5)


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.integers(1, 50_000), st.integers(0, 10**9))
def test_the_bounds_of_a_share_hold_it_and_are_no_wider_than_the_rank_error(
    share: float, sampled: int, more: int
) -> None:
    low, high = bound_share(share, sampled, sampled + more)
    error = compute_rank_error(sampled, sampled + more)
    assert share - error <= low <= share <= high <= share + error


def test_distinct_values_are_exact_of_all_and_bounded_of_a_sample() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.integers(0, 50, 100_000), rng.integers(0, 10**6, 100_000),
                   rng.zipf(1.5, 100_000), np.arange(100_000)):  # fmt: skip
        true = len(np.unique(values))
        everything = estimate_distinct(np.unique(values, return_counts=True)[1], 100_000)
        assert (everything.low, everything.estimate, everything.high) == (true, true, true)
        assert everything.is_exact
        sample = rng.choice(values, 5_000, replace=False)
        counts = np.unique(sample, return_counts=True)[1]
        found = estimate_distinct(counts, 100_000)
        assert found.low <= true <= found.high
        assert found.low <= found.estimate <= found.high


@pytest.mark.parametrize("rows_per_value", [1, 2, 50, 1000])
def test_rows_per_value_are_estimated_without_bias(rows_per_value: int) -> None:
    rng = np.random.default_rng(1)
    values = np.repeat(np.arange(200_000 // rows_per_value), rows_per_value)
    found = []
    for _ in range(20):
        counts = np.unique(rng.choice(values, 4_000, replace=False), return_counts=True)[1]
        found.append(estimate_multiplicity(counts, len(values)))
    assert np.mean(found) == pytest.approx(rows_per_value, rel=0.25)


def test_skewness_is_that_of_scipy_at_any_scale() -> None:
    from scipy.stats import skew

    values = np.random.default_rng(2).exponential(size=5_000)
    for scale in (1.0, 1e-300, 1e300):
        assert compute_skewness(values * scale) == pytest.approx(float(skew(values)), rel=1e-9)
    assert compute_skewness(np.full(10, 0.1)) == 0.0
    assert compute_skewness(np.zeros(10)) == 0.0
    assert compute_skewness(np.zeros(0)) == 0.0
