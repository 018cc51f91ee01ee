"""Choose shards and blocks of a stream whose blocks and batches are to fit into so many bytes.

What a stream holds is one block in use of each canonical shard and those that are read ahead, on
however many ranks. A block has at least one row group, or what of it belongs to the shard, because
a row group is decoded as a whole. So large row groups take fewer shards: the memory is bounded,
each row group is decoded once, and what is given up is among how many rows a row is mixed.

The choice depends on the split, the batch and the bytes, and not on the number of ranks or of their
reader threads: the global batches are the same at any of them.
"""

from dataclasses import dataclass

from headrace.errors import StreamError
from headrace.stream.plan import choose_block_rows, choose_canonical_shards
from headrace.stream.worker import READ_BYTES

STACKS = 6
"""Batch stacks of a rank at most: they are allocated whole, in an epoch that is being read one is
begun and one is completed, and the caller holds some."""
# Blocks of a shard at most: the one in use, the one after it, and the first of the next epoch.
_BLOCKS = 3
# A reader has a block that is not permuted yet, a decoded row group and the one before it. While
# some columns are read, they take more: as they were stored, decompressed, with levels, and what
# allocators keep of them (Arrow's peak was 5.0 times what was decoded, of lists or of 64 columns;
# the process had 1.5 more).
_ROW_GROUPS, _READING = 2, 6
# Stacks take one part in so many of the bytes, or one step each where that is more.
_STACK_PART = 8
_WEIGHT_BYTES = 4
_MIB = 2**20


@dataclass(frozen=True)
class StreamShape:
    """How a split is cut, which decides the order of its rows.

    Attributes:
        canonical_shards: equal streams that it is cut into.
        block_rows: rows of a shard that are permuted together, see `plan.plan_epoch`.
        memory_bytes: what blocks, row groups and stacks take on all ranks together, at most.
    """

    canonical_shards: int
    block_rows: int
    memory_bytes: int


@dataclass(frozen=True)
class SplitSize:
    """What of a split and its batches decides what a stream takes.

    Attributes:
        rows: rows of the split.
        longest: rows of its longest row group.
        row_bytes: bytes of a row in all arrays together.
        widest_bytes: bytes of a row in the widest column.
        global_batch_size: rows of a step over all ranks.
    """

    rows: int
    longest: int
    row_bytes: int
    widest_bytes: int
    global_batch_size: int

    @property
    def step_bytes(self) -> int:
        """Return the bytes of the batches of one step on all ranks."""
        return self.global_batch_size * (self.row_bytes + _WEIGHT_BYTES)

    def predict_memory(
        self, shards: int, block_rows: int, stack_bytes: int = 0, readers: int | None = None
    ) -> int:
        """Predict the bytes that blocks, row groups and stacks take on all ranks together, at most.

        Args:
            shards: canonical shards.
            block_rows: see `plan.plan_epoch`.
            stack_bytes: of all stacks, at least one step each.
            readers: reader threads of all ranks; one for each shard if left out.
        """
        shard_rows = -(-self.rows // shards)
        # A block is complete with the range that takes it to `block_rows`.
        block = min(block_rows - 1 + self.longest, shard_rows) * self.row_bytes
        read = min(self.longest, self.rows)
        reading = min(read * self.row_bytes, max(READ_BYTES, read * self.widest_bytes))
        of_reader = block + _ROW_GROUPS * read * self.row_bytes + _READING * reading
        blocks = shards * _BLOCKS * block + (shards if readers is None else readers) * of_reader
        return blocks + max(stack_bytes, STACKS * self.step_bytes)


def choose_stack_bytes(memory: int) -> int:
    """Choose the bytes of all batch stacks of all ranks, where `memory` bounds a stream."""
    return memory // _STACK_PART


def choose_shape(
    size: SplitSize,
    *,
    canonical_shards: int | None = None,
    block_rows: int | None = None,
    memory: int | None = None,
    ranks: int = 1,
    readers: int = 1,
) -> StreamShape:
    """Choose shards and blocks of a split.

    Args:
        size: of the split and its batches.
        canonical_shards, block_rows: those of the recipe, which are kept; None where it has none.
        memory: bytes on all ranks together, at most; None where it is not bounded, and shards and
            blocks follow from rows and their width alone.
        ranks: how many are to share the shards.
        readers: threads of each; the choice depends on neither.

    Raises:
        StreamError: not even one shard and the smallest blocks fit into `memory`, or too few shards
            for the ranks.
    """
    blocks = block_rows or choose_block_rows(size.row_bytes)
    shards = canonical_shards or choose_canonical_shards(size.rows, size.global_batch_size, blocks)
    if memory is None:
        predicted = size.predict_memory(shards, blocks, readers=readers * ranks)
        return StreamShape(shards, blocks, predicted)
    stacks = choose_stack_bytes(memory)
    smallest = block_rows or 1
    most = shards
    while size.predict_memory(shards, smallest, stacks) > memory:
        if canonical_shards or shards % 2:
            raise StreamError(
                f"stream.memory: {memory:,} bytes have no room for the blocks of {shards:,} "
                f"canonical shard{'s' if shards > 1 else ''} and batches of "
                f"{size.global_batch_size:,} rows, {_describe_fix(size, shards, smallest)}"
            )
        shards //= 2
    if shards % ranks and most % ranks == 0:
        raise StreamError(
            f"stream.memory: {memory:,} bytes have room for the blocks of {shards:,} canonical "
            f"shard{'s' if shards > 1 else ''}, which {ranks} ranks cannot share equally; for "
            f"{ranks} shards, {_describe_fix(size, ranks, smallest)}"
        )
    if block_rows is None and size.predict_memory(shards, blocks, stacks) > memory:
        spare = memory - size.predict_memory(shards, 1, stacks)
        blocks = max(1, min(blocks, 1 + spare // (shards * (_BLOCKS + 1) * size.row_bytes)))
    return StreamShape(shards, blocks, size.predict_memory(shards, blocks, stacks))


def _describe_fix(size: SplitSize, shards: int, block_rows: int) -> str:
    """Describe the smallest `memory` for so many shards, and what else can be done."""
    needed = size.predict_memory(shards, block_rows)
    blocks = needed - STACKS * size.step_bytes
    needed = max(needed, -(-blocks * _STACK_PART // (_STACK_PART - 1)))
    mib = size.longest * size.row_bytes / _MIB
    return (
        f"which take {needed:,} on all ranks together: the longest row group has {size.longest:,} "
        f"rows, {mib:,.1f} MiB decoded. Set stream.memory to that or more, take fewer ranks, "
        "smaller batches or fewer stream.canonical_shards, or write smaller row groups: "
        "dataset.rows_per_row_group: auto and `headrace prepare --full`"
    )
