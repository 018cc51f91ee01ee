"""One rank's batches of one epoch: the plan read through Petastorm, and accounted for.

Blocks come from the reader pool in the order in which they are needed, and have put their rows into
the sheets when they come (`sheets.py`). What was decoded and what is handed over are compared at
the end: rows a shard, and a checksum that does not depend on their order.

Cost: a row is decoded once, copied into its block's arrays, and from there, permuted, into its
batch, all of it without Python's help beyond a call for some thousand rows.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.errors import StreamError
from headrace.lake.storage import is_storage_error, open_files, said
from headrace.stream.columns import Columns
from headrace.stream.files import Footers, retried
from headrace.stream.petastorm_api import Reader
from headrace.stream.plan import reading_order, shards_of_rank
from headrace.stream.pool import PlannedPool
from headrace.stream.rooms import Rooms
from headrace.stream.shard import Shard
from headrace.stream.sheets import Batch, Sheets
from headrace.stream.worker import BlockRows, BlockWorker, Task

if TYPE_CHECKING:
    from headrace.stream.split_stream import SplitStream

# Rows of a shard in a sheet, and bytes of a sheet, at most.
_SHEET_ROWS, _SHEET_BYTES = 2048, 32 * 2**20


class StreamRooms:
    """A stream's memory, used again from epoch to epoch."""

    def __init__(self, columns: Columns) -> None:
        self.blocks, self.sheets = Rooms(columns), Rooms(columns, "weight")


class EpochReader:
    """An epoch of a stream that is being read; reading ahead begins at once.

    Attributes:
        stream, epoch, first_step: what is read.
    """

    def __init__(
        self,
        stream: "SplitStream",
        epoch: int,
        first_step: int,
        rooms: "StreamRooms",
        threads: ThreadPoolExecutor,
    ) -> None:
        """
        Args:
            stream, epoch, first_step: what is read.
            rooms: memory to use.
            threads: `stream.readers` of them.

        Raises:
            StreamError: a file is missing, damaged or out of reach.
        """
        self.stream, self.epoch, self.first_step = stream, epoch, first_step
        self._plan = stream.plan(epoch)
        self._shards = shards_of_rank(stream.canonical_shards, stream.rank, stream.size)
        self._sheet_steps = sheet_steps(stream)
        self._rooms, self._threads = rooms, threads
        self._sheets = Sheets(self._plan, self._shards, first_step, self._sheet_steps, rooms.sheets)
        self._reader: Any = None
        self._pool: PlannedPool | None = None
        self._open()

    @property
    def all_begun(self) -> bool:
        """Whether the reading of the last block has begun."""
        return self._pool is None or self._pool.all_begun

    def close(self) -> None:
        """Drop what was to be read."""
        if self._reader is not None:
            self._reader.stop()
            self._reader.join()

    def _open(self) -> None:
        stream = self.stream
        filesystem, base = open_files(stream.root)
        paths = tuple(f"{base}/{file.path}" for file in stream.files)
        order = reading_order(self._plan, self._shards, self.first_step, self._sheet_steps)
        if not order:  # more shards than rows: this rank has only padding
            return
        footers = Footers()
        tasks = [
            Task(
                block,
                stream.columns,
                paths,
                stream.files,
                footers,
                self._rooms.blocks,
                self._sheets,
                max(0, self.first_step * self._plan.slice_rows - block.first_row),
                stream.cache,
            )
            for block in order
        ]
        self._pool = PlannedPool(
            tasks,
            threads=self._threads,
            workers_count=stream.readers,
            ahead=max(len(self._shards), stream.readers),
        )
        # One file, of which Petastorm reads the schema: it would ask the store for each of them.
        first = next(path for path, file in zip(paths, stream.files, strict=True) if file.rows)

        def opened() -> Any:
            return Reader(
                filesystem,
                [first],
                worker_class=BlockWorker,
                reader_pool=self._pool,
                shuffle_row_groups=False,
                num_epochs=1,
                is_batched_reader=True,
            )

        try:
            self._reader = retried(opened)
        except Exception as error:
            self._pool.stop()
            if not (isinstance(error, pa.ArrowException) or is_storage_error(error)):
                raise
            raise StreamError(
                f"rank {stream.rank}: a file of the dataset version is missing, damaged or out of "
                f"reach: {said(error)}"
            ) from error

    def sheets(self) -> Iterator[Batch]:
        """Some batches at a time, stacked: arrays of shape (steps, rows, …).

        Before the last ones all is accounted for.
        """
        plan, columns = self._plan, self.stream.columns
        shards = [Shard(self, shard) for shard in self._shards]
        given = {name: np.zeros(len(shards), np.uint64) for name in columns.arrays}
        rows = np.zeros(len(shards))
        for first in range(self.first_step, plan.steps, self._sheet_steps):
            end = min(first + self._sheet_steps, plan.steps)
            for shard in shards:
                shard.take(end * plan.slice_rows)
            made = self._sheets.pop(first)
            for name, found in columns.sums_by_shard(made, len(shards)).items():
                given[name] += found
            rows += made["weight"].reshape(end - first, len(shards), -1).sum(axis=(0, 2))
            if end == plan.steps:
                self._account(shards, rows, given)
            yield made

    def next_block(self, shard: int, row: int) -> "BlockRows":
        """The next block, which has to be of this shard.

        Raises:
            StreamError: it is not.
        """
        result = next(self._reader, None) if self._reader is not None else None
        if result is None or result.block.shard != shard:
            came = "nothing" if result is None else f"a block of shard {result.block.shard}"
            raise StreamError(
                f"rank {self.stream.rank}: shard {shard} needs rows from {row} on and {came} came; "
                "the reader pool broke the plan"
            )
        return result

    def _account(self, shards: list[Shard], rows: np.ndarray, given: dict[str, np.ndarray]) -> None:
        wrong = []
        for number, shard in enumerate(shards):
            sums = {name: int(found[number]) for name, found in given.items()}
            if difference := shard.wrong(int(rows[number]), sums):
                wrong.append(difference)
        if self._reader is not None and next(self._reader, None) is not None:
            wrong.append("more blocks than planned")
        if wrong:
            raise StreamError(
                f"rank {self.stream.rank}, epoch {self.epoch}: other rows than planned were "
                f"delivered: {'; '.join(wrong)}"
            )


def sheet_steps(stream: "SplitStream") -> int:
    """Steps of a sheet; the batches do not depend on it."""
    by_rows = _SHEET_ROWS // (stream.global_batch_size // stream.canonical_shards)
    by_bytes = _SHEET_BYTES // (stream.batch_size_per_rank * stream.columns.row_bytes)
    return max(1, min(by_rows, by_bytes, stream.steps))
