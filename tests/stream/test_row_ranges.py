"""Slices of a sequence of row ranges, and blocks, worked out by hand."""

import pytest

from headrace.stream.row_ranges import RowRange, cumulate_rows, group_into_blocks, slice_ranges

# 3 + 2 + 4 rows: positions 0-2, 3-4 and 5-8 of the sequence.
SEQUENCE = [RowRange(0, 0, 0, 3), RowRange(0, 1, 5, 7), RowRange(1, 0, 0, 4)]


def test_rows_are_counted_up_to_the_end_of_each_range() -> None:
    assert [item.rows for item in SEQUENCE] == [3, 2, 4]
    assert cumulate_rows(SEQUENCE).tolist() == [3, 5, 9]


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (0, 9, SEQUENCE),
        (0, 3, [RowRange(0, 0, 0, 3)]),  # ends where a range does
        (3, 5, [RowRange(0, 1, 5, 7)]),  # begins where a range does
        (2, 6, [RowRange(0, 0, 2, 3), RowRange(0, 1, 5, 7), RowRange(1, 0, 0, 1)]),
        (6, 8, [RowRange(1, 0, 1, 3)]),  # within one range
        (4, 4, []),
        (9, 12, []),  # beyond the sequence
    ],
)
def test_a_slice_has_the_rows_of_its_positions(
    begin: int, end: int, expected: list[RowRange]
) -> None:
    assert slice_ranges(SEQUENCE, cumulate_rows(SEQUENCE), begin, end) == expected


@pytest.mark.parametrize(
    ("block_rows", "sizes"),
    [
        (1, [1, 1, 1]),  # a block has a range at least
        (4, [2, 1]),
        (5, [2, 1]),  # full with its second range
        (6, [3]),
        (100, [3]),
    ],
)
def test_ranges_fill_blocks_in_order(block_rows: int, sizes: list[int]) -> None:
    blocks = group_into_blocks(SEQUENCE, block_rows)
    assert [len(block) for block in blocks] == sizes
    assert [item for block in blocks for item in block] == SEQUENCE
    assert group_into_blocks([], block_rows) == []
