"""Samples of row groups: from all over a split, never more rows than were asked for."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.evaluate.references.rows import choose_row_groups


@given(st.lists(st.integers(1, 5000), max_size=200), st.integers(1, 20_000))
def test_a_sample_is_of_that_size_and_from_all_over(row_groups: list[int], rows: int) -> None:
    chosen = choose_row_groups(row_groups, rows)
    taken = sum(count for _, count in chosen)
    assert taken <= rows
    assert all(0 < count <= row_groups[position] for position, count in chosen)
    positions = [position for position, _ in chosen]
    assert positions == sorted(set(positions))
    if sum(row_groups) <= rows:
        assert chosen == list(enumerate(row_groups))
    else:
        assert taken >= min(rows, len(chosen)) > 0


def test_all_rows_without_a_limit() -> None:
    assert choose_row_groups([3, 4], None) == [(0, 3), (1, 4)]
    assert choose_row_groups([], 5) == []


def test_equal_groups_give_equal_parts() -> None:
    chosen = choose_row_groups([1000] * 640, 6400)
    assert len(chosen) == 64
    assert {count for _, count in chosen} == {100}
    assert (chosen[0][0], chosen[-1][0]) == (0, 639)
