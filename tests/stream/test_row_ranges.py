"""The index, slices of a sequence of row groups, and blocks, worked out by hand."""

import numpy as np
import pytest

from headrace.stream.row_ranges import (
    RowRange,
    RowSequence,
    group_into_blocks,
    index_row_groups,
)

# Row groups of 3, 2, none and 4 rows, read last file first: positions 0-3, none, 4-6 and 7-8.
INDEX = index_row_groups([[3, 2], [], [0, 4]])
SEQUENCE = RowSequence.arrange(INDEX, np.array([3, 2, 0, 1]))
RANGES = [RowRange(2, 1, 0, 4), RowRange(0, 0, 0, 3), RowRange(0, 1, 0, 2)]


def test_row_groups_are_indexed_by_file_and_position() -> None:
    assert INDEX.files.tolist() == [0, 0, 2, 2]
    assert INDEX.numbers.tolist() == [0, 1, 0, 1]
    assert INDEX.rows.tolist() == [3, 2, 0, 4]
    assert INDEX.find_first_groups().tolist() == [0, 2, 2]
    assert len(index_row_groups([])) == 0
    assert index_row_groups([]).find_first_groups().tolist() == []


def test_rows_are_counted_up_to_the_end_of_each_row_group() -> None:
    assert [item.rows for item in RANGES] == [4, 3, 2]
    assert SEQUENCE.ends.tolist() == [4, 4, 7, 9]


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (0, 9, RANGES),
        (0, 4, [RowRange(2, 1, 0, 4)]),  # ends where a row group does
        (4, 7, [RowRange(0, 0, 0, 3)]),  # begins where a row group does
        (3, 8, [RowRange(2, 1, 3, 4), RowRange(0, 0, 0, 3), RowRange(0, 1, 0, 1)]),
        (1, 3, [RowRange(2, 1, 1, 3)]),  # within one row group
        (4, 4, []),
        (0, 0, []),
        (9, 12, []),  # beyond the sequence
    ],
)
def test_a_slice_has_the_rows_of_its_positions(
    begin: int, end: int, expected: list[RowRange]
) -> None:
    assert SEQUENCE.slice_ranges(begin, end) == expected


@pytest.mark.parametrize(
    ("block_rows", "sizes"),
    [
        (1, [4, 3, 2]),  # a block has a range at least
        (5, [7, 2]),
        (7, [7, 2]),  # full with its second range
        (8, [9]),
        (100, [9]),
    ],
)
def test_ranges_fill_blocks_in_order(block_rows: int, sizes: list[int]) -> None:
    blocks = list(group_into_blocks(RANGES, block_rows))
    assert [rows for _, rows in blocks] == sizes
    assert [item for block, _ in blocks for item in block] == RANGES
    assert list(group_into_blocks([], block_rows)) == []
