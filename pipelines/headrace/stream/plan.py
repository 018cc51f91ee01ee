"""Plan which rows every rank reads in an epoch, and in which order: pure functions, no I/O.

A split's row groups are permuted by (seed, epoch) and concatenated. That sequence of rows is
partitioned into C *canonical shards* of equal length (one row more or less; a row group may be
divided). Global batch k is slice k of every shard, and a rank owns C / size neighbouring shards.
The global batches are therefore the same at any number of ranks that divides C, and a function of
(dataset version, seed, epoch) alone.

A plan has the blocks of the shards that it is made for: those that one rank owns. What is computed
for every row group of the split is a permutation and a sum, in NumPy.

A shard is read in *blocks* of about `block_rows` rows, and rows are permuted within a block.

The last global batch is padded, so that every row is delivered in every epoch; or it is dropped, so
that every batch is full. Dropped rows rotate: a permuted sequence ends in different rows each
epoch, and a sequence in canonical order begins with the rows that the epoch before it dropped.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from headrace.errors import StreamError
from headrace.recipe.model_requirements import FEW_SHARDS, MOST_SHARDS
from headrace.stream.row_ranges import RowGroupIndex, RowRange, RowSequence, group_into_blocks

# Mixed into the seeds, so that row groups and rows are permuted independently of each other.
_ROW_GROUP_SALT, _ROW_SALT = 1, 2
# Rows and bytes of a block at most. Several blocks per shard are in memory at once, so wide rows (a
# 224 x 224 x 3 image has 150 kB) need shorter blocks than those of a table.
BLOCK_ROWS = 16_384
BLOCK_BYTES = 16 * 2**20
# Blocks that a canonical shard should have at least: with fewer, an epoch would begin only when
# nearly all of it was read.
BLOCKS_PER_SHARD = 4


@dataclass(frozen=True)
class Block:
    """Rows of a shard that are read and permuted together.

    Attributes:
        shard: the canonical shard that the block belongs to.
        first_row: position of the block's first row in the shard.
        ranges: the ranges of rows to read, in order.
        permutation_seed: seeds the permutation of its rows; `None` keeps them in order.
    """

    shard: int
    first_row: int
    ranges: tuple[RowRange, ...]
    permutation_seed: tuple[int, ...] | None

    @cached_property
    def rows(self) -> int:
        """Return the number of rows in the block."""
        return sum(item.rows for item in self.ranges)


@dataclass(frozen=True)
class EpochPlan:
    """The plan of one epoch of one split, for some or all of its canonical shards.

    Attributes:
        shards: number of a planned canonical shard -> its blocks, in order.
        slice_rows: rows of a shard in one global batch.
        steps: number of global batches, the last one padded; equal on every rank by construction.
        dropped_rows: rows of the split that are in no batch of this epoch.
    """

    shards: Mapping[int, tuple[Block, ...]]
    slice_rows: int
    steps: int
    dropped_rows: int = 0

    @property
    def rows(self) -> int:
        """Return the number of rows in all planned shards."""
        return sum(map(self.count_shard_rows, self.shards))

    def count_shard_rows(self, shard: int) -> int:
        """Count the rows of one canonical shard."""
        blocks = self.shards[shard]
        return blocks[-1].first_row + blocks[-1].rows if blocks else 0


def choose_block_rows(row_bytes: int) -> int:
    """Choose the rows of a block where the recipe does not: fewer where rows are wide.

    Args:
        row_bytes: bytes of a row in all arrays together.
    """
    return max(1, min(BLOCK_ROWS, BLOCK_BYTES // row_bytes))


def choose_canonical_shards(rows: int, global_batch_size: int, block_rows: int) -> int:
    """Choose the number of canonical shards where the recipe does not.

    The number divides the batch, is lower where a shard would have fewer than `BLOCKS_PER_SHARD`
    blocks, and does not depend on the number of ranks.

    Args:
        rows: rows of the split.
        global_batch_size: rows of a step over all ranks.
        block_rows: rows of a block.
    """
    shards = math.gcd(MOST_SHARDS, global_batch_size)
    while shards > FEW_SHARDS and rows < shards * BLOCKS_PER_SHARD * block_rows:
        shards //= 2
    return shards


def plan_epoch(
    index: RowGroupIndex,
    *,
    canonical_shards: int,
    global_batch_size: int,
    block_rows: int,
    shuffle: bool,
    seed: int,
    epoch: int,
    drop_last: bool = False,
    shards: Sequence[int] | None = None,
) -> EpochPlan:
    """Plan one epoch.

    Args:
        index: the row groups of the split in canonical order; empty ones are allowed.
        canonical_shards: C; must divide `global_batch_size`.
        global_batch_size: rows of a step over all ranks.
        block_rows: a block is complete when it holds at least this many rows.
        shuffle: permute row groups and rows; otherwise rows keep their canonical order.
        seed, epoch: decide the permutations, and nothing else does.
        drop_last: leave out the rows that do not fill a global batch.
        shards: numbers of the canonical shards to plan, which a rank owns; all if left out.

    Raises:
        StreamError: the shards do not divide the batch, the split has no rows, or they do not fill
            one batch and `drop_last` is set.
    """
    if global_batch_size % canonical_shards:
        raise StreamError(
            f"{canonical_shards} canonical shards do not divide a global batch of "
            f"{global_batch_size} rows; use a multiple"
        )
    total = int(index.rows.sum())
    if not total:
        raise StreamError("the split has no rows; there is nothing to stream")
    order = np.arange(len(index))
    if shuffle:
        order = np.random.default_rng((_ROW_GROUP_SALT, seed, epoch)).permutation(order)
    slice_rows = global_batch_size // canonical_shards
    steps, dropped_rows = count_steps(
        total, canonical_shards, global_batch_size, drop_last=drop_last
    )
    sequence = RowSequence.arrange(index, order)
    # The sequence is a ring: where rows in order are dropped, an epoch begins with those that the
    # epoch before it dropped.
    first_row = epoch * dropped_rows % total if drop_last and not shuffle else 0
    planned: dict[int, tuple[Block, ...]] = {}
    for shard in range(canonical_shards) if shards is None else shards:
        begin, end = (total * s // canonical_shards + first_row for s in (shard, shard + 1))
        end = begin + steps * slice_rows if drop_last else end
        ranges = [
            *sequence.slice_ranges(min(begin, total), min(end, total)),
            *sequence.slice_ranges(max(begin - total, 0), max(end - total, 0)),
        ]
        seed_of_shard = (_ROW_SALT, seed, epoch, shard) if shuffle else None
        planned[shard] = _build_blocks(shard, ranges, block_rows, seed_of_shard)
    return EpochPlan(planned, slice_rows, steps, dropped_rows)


def _build_blocks(
    shard: int, ranges: Sequence[RowRange], block_rows: int, seed: tuple[int, ...] | None
) -> tuple[Block, ...]:
    """Build the blocks of a shard.

    Args:
        shard: its number.
        ranges: its rows.
        block_rows: see `plan_epoch`.
        seed: of its permutations; None keeps rows in order.
    """
    blocks: list[Block] = []
    first_row = 0
    for number, (block, rows) in enumerate(group_into_blocks(ranges, block_rows)):
        blocks.append(Block(shard, first_row, block, None if seed is None else (*seed, number)))
        first_row += rows
    return tuple(blocks)


def count_steps(
    rows: int, canonical_shards: int, global_batch_size: int, *, drop_last: bool
) -> tuple[int, int]:
    """Count the steps of an epoch and the rows that it drops.

    Args:
        rows: rows of the split.
        canonical_shards, global_batch_size, drop_last: see `plan_epoch`.

    Returns:
        steps, and rows that are in no batch.

    Raises:
        StreamError: the rows do not fill one batch, and that batch would be dropped.
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


def assign_shards(canonical_shards: int, rank: int, size: int) -> range:
    """Assign neighbouring canonical shards to one rank.

    Args:
        canonical_shards: number of shards.
        rank, size: the rank, and the number of ranks.

    Raises:
        StreamError: `size` does not divide the shards.
    """
    if canonical_shards % size:
        raise StreamError(
            f"{size} ranks cannot share {canonical_shards} canonical shards equally; use a divisor "
            "or change stream.canonical_shards"
        )
    shards_per_rank = canonical_shards // size
    return range(rank * shards_per_rank, (rank + 1) * shards_per_rank)


def locate_rows(
    total: int, canonical_shards: int, slice_rows: int, shards: Sequence[int], step: int
) -> np.ndarray:
    """Locate the rows of a rank's batch in the canonical order of a split that is not shuffled.

    Args:
        total: rows of the split.
        canonical_shards: number of shards.
        slice_rows: rows of a shard in one global batch.
        shards: the canonical shards that the rank owns.
        step: number of the global batch.

    Returns:
        positions, int64 (shards * slice_rows,); -1 for padding.
    """
    own = np.array(shards, np.int64)[:, None]
    begins, ends = total * own // canonical_shards, total * (own + 1) // canonical_shards
    positions = begins + step * slice_rows + np.arange(slice_rows)
    return np.where(positions < ends, positions, -1).reshape(-1)


def order_blocks(
    plan: EpochPlan, shards: Sequence[int], first_step: int = 0, steps_per_stack: int = 1
) -> list[Block]:
    """Sort the blocks of `shards` into the order in which a rank needs them.

    Args:
        plan: the plan of the epoch.
        shards: the canonical shards that the rank owns.
        first_step: where reading begins; blocks that were consumed before it are left out.
        steps_per_stack: steps whose batches are assembled at once: all rows of a shard for them are
            needed before any row of the next shard.
    """
    first_row = first_step * plan.slice_rows

    def find_stack(block: Block) -> int:
        return (max(block.first_row // plan.slice_rows, first_step) - first_step) // steps_per_stack

    needed = [
        block
        for shard in shards
        for block in plan.shards[shard]
        if block.first_row + block.rows > first_row
    ]
    return sorted(needed, key=lambda block: (find_stack(block), block.shard, block.first_row))
