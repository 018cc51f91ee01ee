"""Slice a sequence of row ranges, and group them into blocks: the arithmetic below `plan.py`.

A range is a part of one row group. Ranges one after the other are a sequence of rows, of which a
slice is again a sequence of ranges.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RowGroup:
    """A row group of the index.

    Attributes:
        file: position of its file in the split's list of files.
        index: position of the row group in its file.
        rows: number of rows.
    """

    file: int
    index: int
    rows: int


@dataclass(frozen=True)
class RowRange:
    """The rows [start, stop) of a row group."""

    file: int
    row_group: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """Return the number of rows in the range."""
        return self.stop - self.start


def cumulate_rows(sequence: Sequence[RowRange]) -> np.ndarray:
    """Return the number of rows up to the end of each range, int64 of shape (ranges,)."""
    return np.cumsum([item.rows for item in sequence])


def slice_ranges(
    sequence: Sequence[RowRange], ends: np.ndarray, begin: int, end: int
) -> list[RowRange]:
    """Return the ranges that hold the rows [begin, end) of the sequence.

    Args:
        sequence: ranges of rows, one after the other.
        ends: their `cumulate_rows`.
        begin, end: positions of rows in the sequence.
    """
    ranges: list[RowRange] = []
    for position in range(int(np.searchsorted(ends, begin, side="right")), len(sequence)):
        item = sequence[position]
        first_row = int(ends[position]) - item.rows
        if first_row >= end:
            break
        start, stop = max(begin - first_row, 0), min(end - first_row, item.rows)
        if stop > start:
            ranges.append(
                RowRange(item.file, item.row_group, item.start + start, item.start + stop)
            )
    return ranges


def group_into_blocks(ranges: Sequence[RowRange], block_rows: int) -> list[list[RowRange]]:
    """Group consecutive ranges into blocks of at least `block_rows` rows, but for the last one."""
    blocks: list[list[RowRange]] = []
    rows = 0
    for item in ranges:
        if not blocks or rows >= block_rows:
            blocks.append([])
            rows = 0
        blocks[-1].append(item)
        rows += item.rows
    return blocks
