"""Which rows every rank reads, in which order: pure functions, no I/O.

A split's row groups are permuted by (seed, epoch) and laid end to end; that line of rows is cut
into C *canonical shards* of equal length (one row more or less; a row group may be cut). Global
batch k is slice k of every shard, and a rank owns C / size neighbouring shards. The global batches
are therefore the same at any number of ranks that divides C, and a function of (dataset version,
seed, epoch) alone.

A shard is read in *blocks* of about `block_rows` rows, and rows are permuted within a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.errors import StreamError

# Mixed into the seed, so that row groups and rows are permuted independently of each other.
_ROW_GROUPS, _ROWS = 1, 2


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
    """

    shards: tuple[tuple[Block, ...], ...]
    slice_rows: int
    steps: int

    @property
    def rows(self) -> int:
        return sum(self.shard_rows(shard) for shard in range(len(self.shards)))

    def shard_rows(self, shard: int) -> int:
        return sum(block.rows for block in self.shards[shard])


def plan_epoch(
    row_groups: Sequence[RowGroup],
    *,
    canonical_shards: int,
    global_batch_size: int,
    block_rows: int,
    shuffle: bool,
    seed: int,
    epoch: int,
) -> EpochPlan:
    """Plan one epoch.

    Args:
        row_groups: of the split, in canonical order; empty ones are allowed.
        canonical_shards: C; must divide `global_batch_size`.
        global_batch_size: rows a step over all ranks.
        block_rows: a block is closed when it holds at least this many rows.
        shuffle: permute row groups and rows; otherwise rows keep their canonical order.
        seed, epoch: decide the permutations, and nothing else does.

    Raises:
        StreamError: the shards do not divide the batch, or there is no row.
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
    line = [row_groups[i] for i in order if row_groups[i].rows]
    shards = []
    for shard, ranges in enumerate(_cut(line, total, canonical_shards)):
        blocks: list[Block] = []
        first = 0
        for number, block in enumerate(_blocks(ranges, block_rows)):
            permutation = (_ROWS, seed, epoch, shard, number) if shuffle else None
            blocks.append(Block(shard, first, tuple(block), permutation))
            first += blocks[-1].rows
        shards.append(tuple(blocks))
    slice_rows = global_batch_size // canonical_shards
    longest = -(-total // canonical_shards)
    return EpochPlan(tuple(shards), slice_rows, -(-longest // slice_rows))


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


def reading_order(plan: EpochPlan, shards: Sequence[int], first_step: int = 0) -> list[Block]:
    """Blocks of `shards` in the order in which step after step needs them.

    Blocks that were wholly consumed before `first_step` are left out.
    """
    first_row = first_step * plan.slice_rows
    needed = [
        (max(block.first_row // plan.slice_rows, first_step), shard, block.first_row, block)
        for shard in shards
        for block in plan.shards[shard]
        if block.first_row + block.rows > first_row
    ]
    return [block for *_, block in sorted(needed, key=lambda item: item[:3])]


def _cut(line: Sequence[RowGroup], total: int, shards: int) -> list[list[RowRange]]:
    """The line of row groups cut at total * c // shards."""
    cut: list[list[RowRange]] = [[] for _ in range(shards)]
    position = 0
    shard = 0
    for group in line:
        start = 0
        while start < group.rows:
            while position >= total * (shard + 1) // shards:
                shard += 1
            end = total * (shard + 1) // shards
            stop = min(group.rows, start + end - position)
            cut[shard].append(RowRange(group.file, group.index, start, stop))
            position += stop - start
            start = stop
    return cut


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
