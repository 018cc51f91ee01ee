"""Check which files and rows are read: evenly from the first to the last."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from headrace.propose.allocation import allocate_rows, spread_positions


def test_values_worked_out_by_hand() -> None:
    assert spread_positions(10, 4) == [0, 3, 6, 9]
    assert spread_positions(3, 10) == [0, 1, 2]
    assert spread_positions(5, 1) == [0]
    assert spread_positions(0, 4) == []
    assert allocate_rows([10, 30], 4) == [1, 3]
    assert allocate_rows([1, 1, 1], 2) == [1, 1, 0]
    assert allocate_rows([5, 0, 7], 100) == [5, 0, 7]


@given(st.integers(1, 20_000), st.integers(2, 64))
def test_positions_rise_from_the_first_to_the_last_with_gaps_alike(count: int, wanted: int) -> None:
    positions = spread_positions(count, wanted)
    assert len(positions) == min(count, wanted)
    assert (positions[0], positions[-1]) == (0, count - 1)
    gaps = {later - earlier for earlier, later in pairwise(positions)}
    assert not gaps or (min(gaps) >= 1 and max(gaps) - min(gaps) <= 1)


@given(st.lists(st.integers(0, 1000), max_size=40), st.integers(0, 5000))
def test_shares_are_as_many_as_wanted_and_no_file_gives_more_than_it_has(
    rows: list[int], wanted: int
) -> None:
    allocation = allocate_rows(rows, wanted)
    assert sum(allocation) == min(wanted, sum(rows))
    assert all(0 <= taken <= available for taken, available in zip(allocation, rows, strict=True))
