"""Sums do not depend on the grouping of their terms, and what is taken away leaves no remainder."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.columns.exact_sum import ExactSum

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(2**63), 2**63 - 1)


@settings(deadline=None)
@given(st.lists(FLOATS, max_size=40), st.integers(0, 40))
def test_any_grouping_gives_the_sum_of_fractions(values: list[float], cut: int) -> None:
    def add_up(terms: list[float]) -> ExactSum:
        return sum(map(ExactSum.from_number, terms), ExactSum())

    whole = add_up(values)
    assert whole == add_up(values[cut:]) + add_up(values[:cut])
    assert Fraction(whole.units, 2**1074) == sum(map(Fraction, values), Fraction())
    assert whole - add_up(values) == ExactSum()
    assert ExactSum.from_text(whole.to_text()) == whole


@settings(deadline=None)
@given(st.lists(INTEGERS, max_size=40))
def test_integers_are_added_up_beyond_64_bits(values: list[int]) -> None:
    total = ExactSum.from_integers(np.array(values, np.int64))
    assert total == ExactSum(sum(values) << 1074)
    assert ExactSum.from_text(total.to_text()) == total


@settings(deadline=None)
@given(st.lists(FLOATS, max_size=200))
def test_an_array_is_added_up_exactly(values: list[float]) -> None:
    total = ExactSum.from_floats(np.array(values, np.float64))
    assert total == sum(map(ExactSum.from_number, values), ExactSum())


def test_arrays_of_many_sizes_are_added_up_exactly() -> None:
    rng = np.random.default_rng(0)
    for rows in (1, 2, 3, 1000, 4096, 65_537):
        for values in (rng.normal(size=rows), rng.lognormal(0, 20, rows), np.full(rows, 0.1)):
            total = ExactSum.from_floats(values)
            assert total.compute_mean(1) == math.fsum(values)
            assert total == ExactSum.from_floats(values[::-1])


def test_a_sum_beyond_float64_still_has_a_mean() -> None:
    values = np.full(1000, 1.7e308)
    mean = ExactSum.from_floats(values).compute_mean(1000)
    assert mean == pytest.approx(1.7e308, rel=1e-12)
    assert ExactSum().compute_mean(0) is None


@pytest.mark.parametrize("text", ["", "1p", "zp0", "1p99999999", "1p-1075"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        ExactSum.from_text(text)
