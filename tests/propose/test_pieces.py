"""Which files and rows are looked at."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from headrace.propose.pieces import shares, spread


def test_values_worked_out_by_hand() -> None:
    assert spread(10, 4) == [0, 3, 6, 9]
    assert spread(3, 10) == [0, 1, 2]
    assert spread(5, 1) == [0]
    assert spread(0, 4) == []
    assert shares([10, 30], 4) == [1, 3]
    assert shares([1, 1, 1], 2) == [1, 1, 0]
    assert shares([5, 0, 7], 100) == [5, 0, 7]


@given(st.integers(1, 20_000), st.integers(2, 64))
def test_positions_rise_from_the_first_to_the_last_with_gaps_alike(count: int, wanted: int) -> None:
    found = spread(count, wanted)
    assert len(found) == min(count, wanted)
    assert (found[0], found[-1]) == (0, count - 1)
    gaps = {later - earlier for earlier, later in pairwise(found)}
    assert not gaps or (min(gaps) >= 1 and max(gaps) - min(gaps) <= 1)


@given(st.lists(st.integers(0, 1000), max_size=40), st.integers(0, 5000))
def test_shares_are_as_many_as_wanted_and_no_file_gives_more_than_it_has(
    rows: list[int], wanted: int
) -> None:
    found = shares(rows, wanted)
    assert sum(found) == min(wanted, sum(rows))
    assert all(0 <= taken <= there for taken, there in zip(found, rows, strict=True))
