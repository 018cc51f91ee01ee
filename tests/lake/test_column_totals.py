"""Totals of files add up to those of all values, and are taken away without a remainder."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.lake.column_totals import ColumnTotals, read_totals, write_totals

WHOLE = st.lists(st.integers(-(2**62), 2**62), max_size=30).map(lambda v: np.array(v, np.int64))
REAL = st.lists(st.floats(-1e100, 1e100), max_size=30).map(lambda v: np.array(v, np.float64))


@settings(deadline=None)
@given(st.one_of(st.tuples(WHOLE, WHOLE), st.tuples(REAL, REAL)))
def test_sums_and_differences(parts: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = (ColumnTotals.from_numbers(part) for part in parts)
    both = first + second
    numbers = pd.Series(np.concatenate(parts))
    assert both.values == len(numbers)
    assert both.zeros == int((numbers == 0).sum())
    if len(numbers):
        assert (both.low, both.high) == (numbers.min(), numbers.max())
    else:
        assert both == ColumnTotals()
    assert both == second + first
    rest, is_exact = both.subtract(second)
    assert (rest.values, rest.zeros, rest.sum) == (first.values, first.zeros, first.sum)
    if is_exact:
        assert (rest.low, rest.high) == (first.low, first.high)
    elif first.values:
        assert rest.low is not None and rest.high is not None
        assert rest.low <= parts[0].min() and rest.high >= parts[0].max()


@settings(deadline=None)
@given(st.lists(st.one_of(WHOLE, REAL), max_size=4))
def test_a_file_of_them_reads_as_it_was_written(columns: list[np.ndarray]) -> None:
    totals = {f"c{n}": ColumnTotals.from_numbers(values) for n, values in enumerate(columns)}
    read = {(path, name): one for path, name, one in read_totals(write_totals([("p", totals)]))}
    assert read == {("p", name): one for name, one in totals.items()}


def test_a_damaged_one_is_no_other_number() -> None:
    with pytest.raises(Exception, match=r"."):
        list(read_totals(write_totals([("p", {"c": ColumnTotals()})])[:-9]))
