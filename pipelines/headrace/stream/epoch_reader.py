"""Read one rank's batches of one epoch, and account for every row.

The block reader (`block_reader.py`) returns blocks in the order in which they are needed; by then
the worker has written their rows into the batch stacks (`batch_assembly.py`). Decoded and delivered
rows are compared at the end: their number per shard, and a checksum that does not depend on their
order. The plan, and the order of epochs, are left to `split_stream.py`.

Cost: a row is decoded once, copied into its block's arrays, and from there, permuted, into its
batch; Python itself makes one call for some thousand rows.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headrace.errors import StreamError
from headrace.lake.data_file import DataFile
from headrace.lake.storage import describe_error, is_storage_error, open_filesystem
from headrace.stream.batch_assembly import Batch, BatchAssembly
from headrace.stream.block_reader import BlockReader, Engine, open_block_reader
from headrace.stream.buffer_pool import BufferPool
from headrace.stream.cache import Cache
from headrace.stream.columns import Columns
from headrace.stream.footers import FooterCache, open_data_file, retry_transient_errors
from headrace.stream.plan import EpochPlan, order_blocks
from headrace.stream.shard_account import ShardAccount
from headrace.stream.verified import VerifiedRowGroups
from headrace.stream.worker import BlockResult, BlockTask


@dataclass(frozen=True)
class EpochSource:
    """The part of one epoch that one rank reads.

    Attributes:
        root, files, columns, readers, cache, engine: see `split_stream.SplitStream`.
        rank: the rank that reads.
        shards: the canonical shards that the rank owns.
        plan, epoch: the plan of the epoch, and the epoch's number.
        first_step: where reading begins.
        steps_per_stack: steps whose batches are assembled at once.
        verified: row groups that were verified in earlier epochs.
    """

    root: str
    files: tuple[DataFile, ...]
    columns: Columns
    rank: int
    shards: range
    plan: EpochPlan
    epoch: int
    first_step: int
    steps_per_stack: int
    readers: int
    cache: Cache | None
    engine: Engine
    verified: VerifiedRowGroups | None = None


class StreamBuffers:
    """The buffer pools of a stream, reused from epoch to epoch.

    Attributes:
        blocks: buffers of decoded blocks.
        stacks: buffers of batch stacks, with `weight`.
    """

    def __init__(self, columns: Columns) -> None:
        self.blocks, self.stacks = BufferPool(columns), BufferPool(columns, "weight")


class EpochReader:
    """A reader of one epoch of a stream; prefetching begins when it is created.

    Attributes:
        source: the part of the epoch that it reads.
    """

    def __init__(
        self, source: EpochSource, buffers: StreamBuffers, threads: ThreadPoolExecutor
    ) -> None:
        """
        Args:
            source: the part of the epoch to read.
            buffers: the stream's buffer pools.
            threads: `source.readers` reader threads.

        Raises:
            StreamError: a file is missing, damaged or unreachable.
        """
        self.source = source
        self._buffers, self._threads = buffers, threads
        self._assembly = BatchAssembly(
            source.plan, source.shards, source.first_step, source.steps_per_stack, buffers.stacks
        )
        self._reader = self._open_reader()

    @property
    def has_submitted_all(self) -> bool:
        """Return whether the epoch's last block was submitted to the reader threads."""
        return self._reader is None or self._reader.has_submitted_all

    def close(self) -> None:
        """Cancel what has not been read, and wait for the blocks that are being read."""
        if self._reader is not None:
            self._reader.close()

    def _open_reader(self) -> BlockReader | None:
        """Open the reader of the rank's blocks; None where it has none.

        Raises:
            StreamError: see `__init__`.
        """
        source = self.source
        filesystem, base = open_filesystem(source.root)
        order = order_blocks(source.plan, source.shards, source.first_step, source.steps_per_stack)
        if not order:  # more shards than rows: this rank has only padding
            return None
        read = sorted({item.file for block in order for item in block.ranges})
        paths = {file: f"{base}/{source.files[file].path}" for file in read}
        footers = FooterCache()
        tasks = [
            BlockTask(
                block,
                source.columns,
                paths,
                source.files,
                footers,
                self._buffers.blocks,
                self._assembly,
                max(0, source.first_step * source.plan.slice_rows - block.first_row),
                source.cache,
                source.verified,
            )
            for block in order
        ]
        first_file = order[0].ranges[0].file

        def read_first_footer() -> None:
            with open_data_file(filesystem, paths[first_file]) as opened:
                footers.get_footer(paths[first_file], opened, source.files[first_file])

        try:
            # The file that is read first shows, before threads are started, whether files are
            # what was published; its footer is cached for the worker.
            retry_transient_errors(read_first_footer)
            return open_block_reader(
                source.engine,
                filesystem,
                tasks,
                threads=self._threads,
                prefetch=max(len(source.shards), source.readers),
            )
        except Exception as error:
            if not (isinstance(error, pa.ArrowException) or is_storage_error(error)):
                raise
            raise StreamError(
                f"rank {source.rank}: a file of the dataset version is missing, damaged or "
                f"unreachable: {describe_error(error)}"
            ) from error

    def read_batch_stacks(self) -> Iterator[Batch]:
        """Yield the epoch's batches as batch stacks: arrays of shape (steps, rows, …).

        All rows are accounted for before the last stack is yielded.

        Raises:
            StreamError: a row group cannot be read, or the delivered rows differ from the plan.
        """
        source = self.source
        plan, columns = source.plan, source.columns
        names = list(columns.arrays)
        shards = [
            ShardAccount(
                shard, plan.count_shard_rows(shard), source.first_step * plan.slice_rows, names
            )
            for shard in source.shards
        ]
        delivered_checksums = {name: np.zeros(len(shards), np.uint64) for name in columns.arrays}
        delivered_rows = np.zeros(len(shards))
        for first in range(source.first_step, plan.steps, source.steps_per_stack):
            end = min(first + source.steps_per_stack, plan.steps)
            for shard in shards:
                while shard.needs_rows(end * plan.slice_rows):
                    shard.add_block(self.read_next_block(shard.number, shard.rows_read))
            stack = self._assembly.pop_stack(first)
            for name, checksums in columns.compute_shard_checksums(stack, len(shards)).items():
                delivered_checksums[name] += checksums
            delivered_rows += stack["weight"].reshape(end - first, len(shards), -1).sum(axis=(0, 2))
            if end == plan.steps:
                self._check_accounts(shards, delivered_rows, delivered_checksums)
            yield stack

    def read_next_block(self, shard: int, row: int) -> BlockResult:
        """Read the next block, and check that it belongs to the shard whose turn it is.

        Args:
            shard: number of the shard.
            row: first row of the shard that is needed.

        Raises:
            StreamError: there is no block, or it belongs to another shard.
        """
        result = self._reader.read_block() if self._reader is not None else None
        if result is None or result.block.shard != shard:
            block = "no block" if result is None else f"a block of shard {result.block.shard}"
            raise StreamError(
                f"rank {self.source.rank}: shard {shard} needs rows from row {row} on, and the "
                f"reader returned {block}; it did not follow the plan, which is a defect"
            )
        return result

    def _check_accounts(
        self,
        shards: list[ShardAccount],
        delivered_rows: np.ndarray,
        delivered_checksums: dict[str, np.ndarray],
    ) -> None:
        """Raise where delivered rows differ from the plan or from what was read.

        Args:
            shards: the accounts of the rank's shards.
            delivered_rows: rows per shard, of shape (shards,).
            delivered_checksums: for each array the checksum per shard, of shape (shards,).
        """
        differences = []
        for position, shard in enumerate(shards):
            checksums = {name: int(sums[position]) for name, sums in delivered_checksums.items()}
            rows = int(delivered_rows[position])
            if difference := shard.describe_difference(rows, checksums):
                differences.append(difference)
        if self._reader is not None and self._reader.read_block() is not None:
            differences.append("more blocks than planned")
        if differences:
            raise StreamError(
                f"rank {self.source.rank}, epoch {self.source.epoch + 1}: the delivered rows "
                f"differ from the plan: {'; '.join(differences)}"
            )
