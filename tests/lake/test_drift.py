"""Drift: a shift is found, chance is not."""

from collections.abc import Callable

import numpy as np
import pytest

from headrace.columns.histogram import make_number_axis
from headrace.columns.statistics import NumberSummary
from headrace.lake.drift import (
    ColumnDrift,
    compute_psi,
    describe_drift,
    measure_id_drift,
    measure_number_drift,
    measure_unknown_drift,
    merge_bins,
)

EDGES = np.linspace(-3, 3, 21)
SEEDS = range(20)


def binned(values: np.ndarray) -> np.ndarray:
    return np.histogram(np.clip(values, -2.999, 2.999), EDGES)[0]


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    return binned(np.random.default_rng(0).normal(size=50_000))


def test_psi_of_hand_worked_shares() -> None:
    # shares 0.5, 0.5 and 0.9, 0.1 up to the half row: (0.4) ln(1.8) + (-0.4) ln(0.2)
    wanted = 0.4 * np.log(1.8) - 0.4 * np.log(0.2)
    assert compute_psi(np.array([50_000, 50_000]), np.array([90_000, 10_000])) == pytest.approx(
        wanted, rel=1e-4
    )
    assert compute_psi(np.array([30, 70]), np.array([30, 70])) == 0


@pytest.mark.parametrize(
    ("reference", "current", "before", "after"),
    [
        # What is left of a run goes to the merged bin before it; 5% are 5 rows.
        ([3, 3, 3, 3, 1, 3, 84], [1, 2, 3, 4, 5, 6, 7], [6, 10, 84], [3, 18, 7]),
        # Or is a bin of its own between bins that have 5% by themselves.
        ([1, 1, 50, 0, 45, 2, 1], [5, 0, 1, 3, 1, 0, 7], [2, 50, 0, 45, 3], [5, 1, 3, 1, 7]),
        ([0, 0], [3, 4], [0], [7]),
        ([100, 0, 0], [0, 0, 9], [100, 0], [0, 9]),
        ([], [], [], []),
    ],
)
def test_small_bins_are_merged_until_each_has_five_percent(
    reference: list[int], current: list[int], before: list[int], after: list[int]
) -> None:
    merged = merge_bins(np.array(reference, np.int64), np.array(current, np.int64))
    assert [counts.tolist() for counts in merged] == [before, after]


def make_shapes() -> dict[str, np.ndarray]:
    """Return shares of 20 bins as columns of lakes have them: even, of one value, of nearly one
    value, of few values with nearly nothing between them, with a long tail."""
    comb = np.arange(20) % 2
    shapes = {
        "uniform": np.ones(20),
        "constant": np.eye(20)[10],
        "zeros, 1% others": np.r_[99, np.full(19, 1 / 19)],
        "zeros, 0.1% others": np.r_[999, np.full(19, 1 / 19)],
        "one value in the middle": np.r_[np.full(10, 0.1), 98, np.full(9, 1 / 9)],
        "two values": np.r_[1, np.zeros(18), 1],
        "ten values": comb,
        "ten values, 1% between": comb + 0.01 * (1 - comb),
        "ten values, 0.01% between": comb + 1e-4 * (1 - comb),
        "long tail": np.exp(-np.arange(20.0)),
    }
    return {name: weights / weights.sum() for name, weights in shapes.items()}


SHAPES = make_shapes()
SIZES = ((1000, 20), (1000, 1000), (1_000_000, 20), (1_000_000, 200), (10_000, 3000), (100, 10_000))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("reference_rows", "rows"), SIZES)
def test_rows_of_the_same_shape_are_no_drift(name: str, reference_rows: int, rows: int) -> None:
    rng = np.random.default_rng(reference_rows + rows)
    draws = 300
    alarms = 0
    for _ in range(draws):
        before = rng.multinomial(reference_rows, SHAPES[name])
        found = measure_number_drift("x", before, rng.multinomial(rows, SHAPES[name]), 0.2)
        assert found is not None
        alarms += found.has_drifted
    assert alarms <= 1


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "uniform"])
@pytest.mark.parametrize(("reference_rows", "rows"), SIZES)
def test_rows_that_moved_to_a_rare_bin_are_drift(name: str, reference_rows: int, rows: int) -> None:
    # Whatever the shape: every value is now where nearly none was.
    rng = np.random.default_rng(reference_rows + rows)
    before = rng.multinomial(reference_rows, SHAPES[name])
    moved = np.zeros(20, np.int64)
    moved[np.argmin(SHAPES[name])] = rows
    found = measure_number_drift("x", before, moved, 0.2)
    assert found is not None
    assert found.has_drifted


@pytest.mark.parametrize("share", [0.95, 0.97, 0.99, 0.999, 1.0])
def test_a_column_of_nearly_one_value_that_gets_others_is_drift(share: float) -> None:
    # Failed elsewhere alike: probatus 112, DataProfiler 707.
    rows = 10_000
    before = np.zeros(20, np.int64)
    before[[0, 13]] = round(share * rows), rows - round(share * rows)
    after = np.zeros(20, np.int64)
    after[[0, 13]] = 3000, 7000
    found = measure_number_drift("x", before, after, 0.2)
    assert found is not None
    assert found.has_drifted
    assert found.value > 1


def replace_some(numbers: np.ndarray, rng: np.random.Generator, value: float) -> np.ndarray:
    return np.where(rng.random(len(numbers)) < 0.01, value, numbers)


Draw = Callable[[np.random.Generator, int], np.ndarray]
COLUMNS: dict[str, Draw] = {
    "normal": lambda rng, rows: rng.normal(5, 2, rows),
    "uniform": lambda rng, rows: rng.random(rows),
    "long tail": lambda rng, rows: rng.lognormal(0, 2, rows),
    "longest tail": lambda rng, rows: rng.lognormal(0, 4, rows),
    "no mean": lambda rng, rows: rng.standard_cauchy(rows),
    "counts": lambda rng, rows: rng.geometric(0.3, rows).astype(float),
    "counts with a tail": lambda rng, rows: np.floor(rng.pareto(0.8, rows)),
    "999999": lambda rng, rows: replace_some(rng.normal(50, 10, rows), rng, 999_999),
    "-1 in dollars": lambda rng, rows: replace_some(rng.lognormal(10, 1, rows), rng, -1e12),
    "half zeros": lambda rng, rows: rng.lognormal(0, 2, rows) * (rng.random(rows) < 0.5),
    "shares": lambda rng, rows: rng.beta(0.5, 50, rows),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize(("reference_rows", "rows"), [(200, 200), (2000, 500), (50_000, 5000)])
def test_numbers_that_moved_are_drift_and_others_not(
    name: str, reference_rows: int, rows: int
) -> None:
    """Whatever their shape: a few far away leave the others in one bin of equal width."""
    rng = np.random.default_rng(reference_rows)
    alarms = 0
    for draw in range(100):
        fitted = COLUMNS[name](rng, reference_rows)
        axis = make_number_axis("x", NumberSummary.from_numbers(fitted), 0.0, 1.0)
        before, new = axis.count_values(fitted), COLUMNS[name](rng, rows)
        same = measure_number_drift("x", before, axis.count_values(new), 0.2)
        assert same is not None
        alarms += same.has_drifted
        if draw % 10 or reference_rows < 2000:
            continue
        low, middle, high = np.quantile(new, [0.25, 0.5, 0.75])
        for moved in (new + (high - low), np.full(rows, middle), np.full(rows, high)):
            found = measure_number_drift("x", before, axis.count_values(moved), 0.2)
            assert found is not None
            assert found.has_drifted
    assert alarms <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shifted_number_is_found(reference: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed + 1)
    found = measure_number_drift("x", reference, binned(rng.normal(1.0, 1, 5000)), 0.2)
    assert found is not None
    assert found.has_drifted
    small = measure_number_drift("x", reference, binned(rng.normal(1.5, 1, 200)), 0.2)
    assert small is not None
    assert small.has_drifted


@pytest.mark.parametrize("seed", SEEDS)
def test_two_hundred_rows_that_did_not_change_are_no_drift(
    reference: np.ndarray, seed: int
) -> None:
    rng = np.random.default_rng(seed + 100)
    found = measure_number_drift("x", reference, binned(rng.normal(size=200)), 0.02)
    assert found is not None
    assert not found.has_drifted
    assert found.limit > 0.1  # though the recipe's own limit is far lower
    shares = np.array([0.5, 0.3, 0.1, 0.05, 0.05])
    before = rng.multinomial(50_000, shares)
    ids = measure_id_drift("c", before, rng.multinomial(200, shares), 0.02)
    assert ids is not None
    assert not ids.has_drifted
    moved = measure_id_drift("c", before, rng.multinomial(200, shares[::-1]), 0.02)
    assert moved is not None
    assert moved.has_drifted


@pytest.mark.parametrize("seed", SEEDS)
def test_unknown_values_become_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = (int(rng.binomial(50_000, 0.02)), 50_000)
    same = measure_unknown_drift("c", before, (int(rng.binomial(200, 0.02)), 200), 0.01)
    more = measure_unknown_drift("c", before, (int(rng.binomial(200, 0.4)), 200), 0.01)
    assert same is not None
    assert more is not None
    assert not same.has_drifted
    assert more.has_drifted
    fewer = measure_unknown_drift("c", (25_000, 50_000), (0, 200), 0.01)
    assert fewer is not None
    assert (fewer.value, fewer.has_drifted) == (0.0, False)


def test_no_values_are_no_drift() -> None:
    none, some = np.zeros(3, np.int64), np.ones(3, np.int64)
    assert measure_number_drift("x", none, some, 0.2) is None
    assert measure_id_drift("x", some, none, 0.2) is None
    assert measure_unknown_drift("x", (0, 0), (1, 2), 0.2) is None


def test_the_difference_of_a_share_and_its_limit_by_hand() -> None:
    drift = measure_id_drift("c", np.array([600, 400]), np.array([300, 700]), 0.02)
    assert drift is not None
    assert drift.value == pytest.approx(0.3)
    # Hoeffding over 2 labels: sqrt(ln(2 * 2 / 1e-4) / 2 * (1/1000 + 1/1000))
    assert drift.limit == pytest.approx(np.sqrt(np.log(4e4) / 1000))
    assert drift.rows == 1000


def test_columns_that_drifted_are_described_the_furthest_first() -> None:
    columns = [
        ColumnDrift(name=name, measure="psi", value=value, limit=limit, rows=1234)
        for name, value, limit in (("a", 0.3, 0.2), ("b", 0.2, 0.2), ("c", 0.9, 0.3))
    ]
    assert describe_drift(columns) == [
        "c: population stability index 0.9, above its limit 0.3 (1,234 values)",
        "a: population stability index 0.3, above its limit 0.2 (1,234 values)",
    ]
