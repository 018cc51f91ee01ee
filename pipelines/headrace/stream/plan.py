"""Which rows every rank reads, in which order: pure functions, no I/O.

A split's row groups are permuted by (seed, epoch) and laid end to end; that line of rows is cut
into C *canonical shards* of equal length (one row more or less; a row group may be cut). Global
batch k is slice k of every shard, and a rank owns C / size neighbouring shards. The global batches
are therefore the same at any number of ranks that divides C, and a function of (dataset version,
seed, epoch) alone.

A shard is read in *blocks* of about `block_rows` rows, and rows are permuted within a block.

The last global batch is padded, so that every row is seen in every epoch; or it is dropped, so that
every batch is full. Dropped rows rotate: a permuted line ends in other rows each epoch, and a line
in canonical order begins where the rows dropped before it begin.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace.errors import StreamError
from headrace.recipe.model_requirements import FEW_SHARDS, MOST_SHARDS

# Mixed into the seed, so that row groups and rows are permuted independently of each other.
_ROW_GROUPS, _ROWS = 1, 2
# Rows of a block at most, and bytes of one at most: some blocks a shard are held at once, so that
# wide rows (a 224 x 224 x 3 image has 150 kB) must come in shorter blocks than those of a table.
BLOCK_ROWS = 16_384
BLOCK_BYTES = 16 * 2**20
# Canonical shards where rows are few: with more a shard has few blocks, and an epoch would begin
# only when nearly all of it was read.
BLOCKS_A_SHARD = 4


@dataclass(frozen=True)
class RowGroup:
    """A row group of the index: `file` is its file's position in the split's list of files."""

    file: int
    index: int
    rows: int


@dataclass(frozen=True)
class RowRange:
    """Rows [start, stop) of a row group."""

    file: int
    row_group: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Block:
    """What is read and permuted in one go.

    Attributes:
        shard: the canonical shard it belongs to.
        first_row: position of its first row in the shard.
        ranges: what to read, in order.
        permutation_seed: seeds the permutation of its rows; `None` keeps them in order.
    """

    shard: int
    first_row: int
    ranges: tuple[RowRange, ...]
    permutation_seed: tuple[int, ...] | None

    @property
    def rows(self) -> int:
        return sum(r.rows for r in self.ranges)


@dataclass(frozen=True)
class EpochPlan:
    """One epoch of one split over all ranks.

    Attributes:
        shards: the blocks of every canonical shard, in order.
        slice_rows: rows a shard gives to one global batch.
        steps: global batches, the last one padded; equal on every rank by construction.
        dropped: rows of the split that are in no batch of this epoch.
    """

    shards: tuple[tuple[Block, ...], ...]
    slice_rows: int
    steps: int
    dropped: int = 0

    @property
    def rows(self) -> int:
        return sum(self.shard_rows(shard) for shard in range(len(self.shards)))

    def shard_rows(self, shard: int) -> int:
        return sum(block.rows for block in self.shards[shard])


def row_groups_of(files: Sequence[Sequence[int]]) -> list[RowGroup]:
    """The index of a split, in canonical order, from the rows of each file's row groups."""
    return [
        RowGroup(file, index, rows)
        for file, groups in enumerate(files)
        for index, rows in enumerate(groups)
    ]


def fitting_rows(row_bytes: int) -> int:
    """Rows of a block where nobody says how many: fewer where rows are wide."""
    return max(1, min(BLOCK_ROWS, BLOCK_BYTES // row_bytes))


def fitting_shards(rows: int, global_batch_size: int, block_rows: int) -> int:
    """Canonical shards where nobody says how many, the same for any number of ranks.

    They divide the batch, and are fewer where a shard would have fewer than four blocks.
    """
    shards = math.gcd(MOST_SHARDS, global_batch_size)
    while shards > FEW_SHARDS and rows < shards * BLOCKS_A_SHARD * block_rows:
        shards //= 2
    return shards


def plan_epoch(
    row_groups: Sequence[RowGroup],
    *,
    canonical_shards: int,
    global_batch_size: int,
    block_rows: int,
    shuffle: bool,
    seed: int,
    epoch: int,
    drop_last: bool = False,
) -> EpochPlan:
    """Plan one epoch.

    Args:
        row_groups: of the split, in canonical order; empty ones are allowed.
        canonical_shards: C; must divide `global_batch_size`.
        global_batch_size: rows a step over all ranks.
        block_rows: a block is closed when it holds at least this many rows.
        shuffle: permute row groups and rows; otherwise rows keep their canonical order.
        seed, epoch: decide the permutations, and nothing else does.
        drop_last: leave out the rows that do not fill a global batch.

    Raises:
        StreamError: the shards do not divide the batch, there is no row, or no full batch.
    """
    if global_batch_size % canonical_shards:
        raise StreamError(
            f"{canonical_shards} canonical shards do not divide a global batch of "
            f"{global_batch_size} rows; use a multiple"
        )
    total = sum(group.rows for group in row_groups)
    if not total:
        raise StreamError("the split has no rows; there is nothing to stream")
    order = np.arange(len(row_groups))
    if shuffle:
        order = np.random.default_rng((_ROW_GROUPS, seed, epoch)).permutation(order)
    slice_rows = global_batch_size // canonical_shards
    steps, dropped = epoch_steps(total, canonical_shards, global_batch_size, drop_last=drop_last)
    groups = (row_groups[i] for i in order.tolist())
    line = [RowRange(g.file, g.index, 0, g.rows) for g in groups if g.rows]
    if drop_last and not shuffle:
        first = epoch * dropped % total
        ends = _ends(line)
        line = _between(line, ends, first, total) + _between(line, ends, 0, first)
    ends = _ends(line)
    shards = []
    for shard in range(canonical_shards):
        begin, end = (total * s // canonical_shards for s in (shard, shard + 1))
        ranges = _between(line, ends, begin, begin + steps * slice_rows if drop_last else end)
        blocks: list[Block] = []
        first = 0
        for number, block in enumerate(_blocks(ranges, block_rows)):
            permutation = (_ROWS, seed, epoch, shard, number) if shuffle else None
            blocks.append(Block(shard, first, tuple(block), permutation))
            first += blocks[-1].rows
        shards.append(tuple(blocks))
    return EpochPlan(tuple(shards), slice_rows, steps, dropped)


def epoch_steps(
    rows: int, canonical_shards: int, global_batch_size: int, *, drop_last: bool
) -> tuple[int, int]:
    """Steps of an epoch of so many rows, and rows that are dropped.

    Raises:
        StreamError: the rows do not fill one batch, and that would be dropped.
    """
    slice_rows = global_batch_size // canonical_shards
    if not drop_last:
        longest = math.ceil(rows / canonical_shards)
        return math.ceil(longest / slice_rows), 0
    steps = rows // canonical_shards // slice_rows
    if not steps:
        raise StreamError(
            f"the split has {rows:,} rows, which do not fill a batch of {global_batch_size:,}, and "
            "stream.last_batch is drop; set it to pad, or take smaller batches"
        )
    return steps, rows - steps * global_batch_size


def shards_of_rank(canonical_shards: int, rank: int, size: int) -> range:
    """The neighbouring shards that `rank` of `size` owns.

    Raises:
        StreamError: `size` does not divide the shards.
    """
    if canonical_shards % size:
        raise StreamError(
            f"{size} ranks cannot share {canonical_shards} canonical shards equally; use a divisor "
            "or change stream.canonical_shards"
        )
    each = canonical_shards // size
    return range(rank * each, (rank + 1) * each)


def reading_order(
    plan: EpochPlan, shards: Sequence[int], first_step: int = 0, sheet_steps: int = 1
) -> list[Block]:
    """Blocks of `shards` in the order in which they are needed.

    Blocks that were wholly consumed before `first_step` are left out.

    Args:
        sheet_steps: steps that are made at once: all that a shard gives to them is needed before
            anything of the next shard.
    """
    first_row = first_step * plan.slice_rows

    def turn(block: Block) -> int:
        return (max(block.first_row // plan.slice_rows, first_step) - first_step) // sheet_steps

    needed = [
        (turn(block), shard, block.first_row, block)
        for shard in shards
        for block in plan.shards[shard]
        if block.first_row + block.rows > first_row
    ]
    return [block for *_, block in sorted(needed, key=lambda item: item[:3])]


def _ends(line: Sequence[RowRange]) -> np.ndarray:
    """Rows of the line up to and with each range."""
    return np.cumsum([item.rows for item in line])


def _between(line: Sequence[RowRange], ends: np.ndarray, begin: int, end: int) -> list[RowRange]:
    """Rows [begin, end) of the line."""
    found: list[RowRange] = []
    for at in range(int(np.searchsorted(ends, begin, side="right")), len(line)):
        item, first = line[at], int(ends[at]) - line[at].rows
        if first >= end:
            break
        start, stop = max(begin - first, 0), min(end - first, item.rows)
        if stop > start:
            found.append(RowRange(item.file, item.row_group, item.start + start, item.start + stop))
    return found


def _blocks(ranges: Sequence[RowRange], block_rows: int) -> list[list[RowRange]]:
    blocks: list[list[RowRange]] = []
    rows = 0
    for item in ranges:
        if not blocks or rows >= block_rows:
            blocks.append([])
            rows = 0
        blocks[-1].append(item)
        rows += item.rows
    return blocks
