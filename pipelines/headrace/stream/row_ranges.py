"""Index a split's row groups, slice their sequence, and group ranges into blocks.

This is the arithmetic below `plan.py`. A range is a part of one row group; row groups one after the
other are a sequence of rows, and a slice of it is a list of ranges. What has an entry for every row
group of a split is NumPy's; Python objects are made of the slice that a rank reads alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, eq=False)
class RowGroupIndex:
    """The row groups of a split, in canonical order: 16 bytes each.

    Attributes:
        files: position of each row group's file in the split's list of files, int32 (groups,).
        numbers: position of each row group in its file, int32 (groups,).
        rows: number of rows of each row group, int64 (groups,).
    """

    files: np.ndarray
    numbers: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def find_first_groups(self) -> np.ndarray:
        """Find the position of each file's first row group in the index, int64 (files,)."""
        last = int(self.files[-1]) if len(self) else -1
        return np.searchsorted(self.files, np.arange(last + 1))


def index_row_groups(files: Sequence[Sequence[int]]) -> RowGroupIndex:
    """Build the index of a split, in canonical order.

    Args:
        files: for each file of the split, the number of rows of each of its row groups.
    """
    counts = np.fromiter(map(len, files), np.int64, len(files))
    firsts = np.cumsum(counts) - counts
    groups = int(counts.sum())
    return RowGroupIndex(
        np.repeat(np.arange(len(files), dtype=np.int32), counts),
        (np.arange(groups) - np.repeat(firsts, counts)).astype(np.int32),
        np.fromiter((rows for file in files for rows in file), np.int64, groups),
    )


@dataclass(frozen=True, eq=False)
class RowSequence:
    """The rows of a split in the order of an epoch: row groups, one after the other.

    Attributes:
        index: the row groups.
        order: positions in the index of the row groups, in the order of the sequence.
        ends: number of rows up to the end of each of them, int64 (groups,).
    """

    index: RowGroupIndex
    order: np.ndarray
    ends: np.ndarray

    @staticmethod
    def arrange(index: RowGroupIndex, order: np.ndarray) -> "RowSequence":
        """Arrange the row groups of an index in an order.

        Args:
            index: the row groups.
            order: positions in the index.
        """
        return RowSequence(index, order, np.cumsum(index.rows[order]))

    def slice_ranges(self, begin: int, end: int) -> list[RowRange]:
        """Return the ranges that hold the rows [begin, end) of the sequence; empty ones are left
        out.

        Args:
            begin, end: positions of rows in the sequence.
        """
        first = int(np.searchsorted(self.ends, begin, side="right"))
        last = int(np.searchsorted(self.ends, end, side="left")) + 1
        groups = self.order[first:last]
        rows = self.index.rows[groups]
        begins = self.ends[first:last] - rows
        starts = np.maximum(begin - begins, 0)
        stops = np.minimum(end - begins, rows)
        has_rows = stops > starts
        columns = (self.index.files[groups], self.index.numbers[groups], starts, stops)
        return list(map(RowRange, *(column[has_rows].tolist() for column in columns)))


def group_into_blocks(
    ranges: Sequence[RowRange], block_rows: int
) -> Iterator[tuple[tuple[RowRange, ...], int]]:
    """Group consecutive ranges into blocks of at least `block_rows` rows, but for the last one.

    Yields:
        the ranges of a block, and their rows.
    """
    block: list[RowRange] = []
    rows = 0
    for item in ranges:
        block.append(item)
        rows += item.rows
        if rows >= block_rows:
            yield tuple(block), rows
            block, rows = [], 0
    if block:
        yield tuple(block), rows
