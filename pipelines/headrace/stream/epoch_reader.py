"""One rank's batches of one epoch: the plan read through Petastorm, and accounted for.

Blocks come from the reader pool in the order in which they are needed, and have put their rows into
the sheets when they come (`sheets.py`). What was decoded and what is handed over are compared at
the end: rows a shard, and a checksum that does not depend on their order.

Cost: a row is decoded once, copied into its block's arrays, and from there, permuted, into its
batch, all of it without Python's help beyond a call for some thousand rows.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.errors import StreamError
from headrace.lake.data_file import DataFile
from headrace.lake.storage import is_storage_error, open_files, said
from headrace.stream.batch_assembly import Batch, Sheets
from headrace.stream.buffer_pool import Rooms
from headrace.stream.cache import Cache
from headrace.stream.columns import Columns
from headrace.stream.footers import Footers, retried
from headrace.stream.petastorm_api import Reader
from headrace.stream.plan import EpochPlan, reading_order
from headrace.stream.pool import PlannedPool
from headrace.stream.shard_account import ShardAccount
from headrace.stream.worker import BlockRows, BlockWorker, Task


@dataclass(frozen=True)
class EpochSource:
    """What is read of one epoch by one rank.

    Attributes:
        root, files, columns, readers, cache: see `split_stream.SplitStream`.
        rank: who reads.
        shards: the canonical shards that the rank owns.
        plan, epoch: the plan of this epoch.
        first_step: where reading begins.
        steps_per_sheet: steps whose batches are assembled at once.
    """

    root: str
    files: tuple[DataFile, ...]
    columns: Columns
    rank: int
    shards: range
    plan: EpochPlan
    epoch: int
    first_step: int
    steps_per_sheet: int
    readers: int
    cache: Cache | None


class StreamRooms:
    """A stream's memory, used again from epoch to epoch."""

    def __init__(self, columns: Columns) -> None:
        self.blocks, self.sheets = Rooms(columns), Rooms(columns, "weight")


class EpochReader:
    """An epoch of a stream that is being read; reading ahead begins at once.

    Attributes:
        source: what is read.
    """

    def __init__(
        self, source: EpochSource, rooms: StreamRooms, threads: ThreadPoolExecutor
    ) -> None:
        """
        Args:
            source: what is read.
            rooms: memory to use.
            threads: `source.readers` of them.

        Raises:
            StreamError: a file is missing, damaged or out of reach.
        """
        self.source = source
        self._rooms, self._threads = rooms, threads
        self._sheets = Sheets(
            source.plan, source.shards, source.first_step, source.steps_per_sheet, rooms.sheets
        )
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
        source = self.source
        filesystem, base = open_files(source.root)
        paths = tuple(f"{base}/{file.path}" for file in source.files)
        order = reading_order(source.plan, source.shards, source.first_step, source.steps_per_sheet)
        if not order:  # more shards than rows: this rank has only padding
            return
        footers = Footers()
        tasks = [
            Task(
                block,
                source.columns,
                paths,
                source.files,
                footers,
                self._rooms.blocks,
                self._sheets,
                max(0, source.first_step * source.plan.slice_rows - block.first_row),
                source.cache,
            )
            for block in order
        ]
        self._pool = PlannedPool(
            tasks,
            threads=self._threads,
            workers_count=source.readers,
            ahead=max(len(source.shards), source.readers),
        )
        # One file, of which Petastorm reads the schema: it would ask the store for each of them.
        first = next(path for path, file in zip(paths, source.files, strict=True) if file.rows)

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
                f"rank {source.rank}: a file of the dataset version is missing, damaged or out of "
                f"reach: {said(error)}"
            ) from error

    def sheets(self) -> Iterator[Batch]:
        """Some batches at a time, stacked: arrays of shape (steps, rows, …).

        Before the last ones all is accounted for.
        """
        source = self.source
        plan, columns = source.plan, source.columns
        names = list(columns.arrays)
        shards = [
            ShardAccount(shard, plan.shard_rows(shard), source.first_step * plan.slice_rows, names)
            for shard in source.shards
        ]
        given = {name: np.zeros(len(shards), np.uint64) for name in columns.arrays}
        rows = np.zeros(len(shards))
        for first in range(source.first_step, plan.steps, source.steps_per_sheet):
            end = min(first + source.steps_per_sheet, plan.steps)
            for shard in shards:
                while shard.needs_rows(end * plan.slice_rows):
                    shard.take_in(self.next_block(shard.number, shard.rows_read))
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
                f"rank {self.source.rank}: shard {shard} needs rows from {row} on and {came} came; "
                "the reader pool broke the plan"
            )
        return result

    def _account(
        self, shards: list[ShardAccount], rows: np.ndarray, given: dict[str, np.ndarray]
    ) -> None:
        wrong = []
        for number, shard in enumerate(shards):
            sums = {name: int(found[number]) for name, found in given.items()}
            if difference := shard.difference(int(rows[number]), sums):
                wrong.append(difference)
        if self._reader is not None and next(self._reader, None) is not None:
            wrong.append("more blocks than planned")
        if wrong:
            raise StreamError(
                f"rank {self.source.rank}, epoch {self.source.epoch}: other rows than planned were "
                f"delivered: {'; '.join(wrong)}"
            )
