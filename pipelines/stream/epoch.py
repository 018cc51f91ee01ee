"""One rank's batches of one epoch: the plan read through Petastorm, cut and accounted for.

Blocks come from the reader pool in the order in which they are needed; several steps are cut at
once, a shard after the other, so that a copy moves many rows. What was decoded and what is handed
over are compared at the end: rows a shard, and a checksum that does not depend on their order.

Cost: a row is decoded once, copied once into its block's arrays, once by the block's permutation
and once into its batch, all of it without Python's help beyond a call for some thousand rows.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipelines.errors import StreamError
from pipelines.lake.storage import is_storage_error, said
from pipelines.quiet import quiet_import
from pipelines.stream.columns import Columns
from pipelines.stream.files import Footers, retried
from pipelines.stream.plan import reading_order, shards_of_rank
from pipelines.stream.rooms import BlockRooms, WindowRooms
from pipelines.stream.stores import petastorm_filesystem

with quiet_import():  # petastorm warns about pyarrow.filesystem, and pkg_resources about itself
    from petastorm.reader import Reader

    from pipelines.stream.pool import PlannedPool
    from pipelines.stream.worker import BlockRows, BlockWorker, Task

if TYPE_CHECKING:
    from pipelines.stream.split_stream import SplitStream

Batch = dict[str, np.ndarray]

# Rows of a shard that are cut at once, and bytes of the batches that are cut at once.
_WINDOW_ROWS, _WINDOW_BYTES = 1024, 16 * 2**20


class EpochReader:
    """An epoch of a stream that is being read; reading ahead begins at once.

    Attributes:
        stream, epoch, first_step: what is read.
    """

    def __init__(
        self, stream: "SplitStream", epoch: int, first_step: int, rooms: "Rooms | None" = None
    ) -> None:
        """
        Args:
            stream, epoch, first_step: what is read.
            rooms: memory of epochs that were read before.

        Raises:
            StreamError: a file is missing, damaged or out of reach.
        """
        self.stream, self.epoch, self.first_step = stream, epoch, first_step
        self._plan = stream.plan(epoch)
        self._shards = shards_of_rank(stream.canonical_shards, stream.rank, stream.size)
        self._window = window_steps(stream)
        self._rooms = rooms or Rooms(stream)
        self._reader: Any = None
        self._pool: PlannedPool | None = None
        self._open()

    @property
    def all_begun(self) -> bool:
        """Whether the reading of the last block has begun."""
        return self._pool is None or self._pool.all_begun

    def close(self) -> None:
        """End the reader threads."""
        if self._reader is not None:
            self._reader.stop()
            self._reader.join()

    def _open(self) -> None:
        stream = self.stream
        filesystem, base = petastorm_filesystem(stream.root)
        paths = tuple(f"{base}/{file.path}" for file in stream.files)
        order = reading_order(self._plan, self._shards, self.first_step, self._window)
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
                stream.cache,
            )
            for block in order
        ]
        self._pool = PlannedPool(
            tasks, workers_count=stream.readers, ahead=len(self._shards) + stream.readers
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

    def windows(self) -> Iterator[Batch]:
        """Some batches at a time, stacked: arrays of shape (steps, rows, …).

        Before the last ones all is accounted for.
        """
        plan, columns = self._plan, self.stream.columns
        width = plan.slice_rows
        shards = {shard: _Shard(self, shard) for shard in self._shards}
        given = {name: np.zeros(len(shards), np.uint64) for name in columns.arrays}
        for first in range(self.first_step, plan.steps, self._window):
            steps = min(self._window, plan.steps - first)
            full = all(plan.shard_rows(s) >= (first + steps) * width for s in shards)
            room = self._rooms.windows.take()
            made = {name: array[:steps] for name, array in room.items()}
            del room
            if not full:
                for array in made.values():
                    array[...] = 0
            for number, shard in enumerate(shards.values()):
                place = slice(number * width, (number + 1) * width)
                shard.deliver({name: array[:, place] for name, array in made.items()}, first)
            for name, found in columns.sums_by_shard(made, len(shards)).items():
                given[name] += found
            if first + steps == plan.steps:
                self._account(shards, given)
            yield made

    def give_back(self, room: Batch) -> None:
        """A block's memory, which nobody looks at any more."""
        self._rooms.blocks.give_back(room)

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

    def _account(self, shards: "dict[int, _Shard]", given: dict[str, np.ndarray]) -> None:
        wrong = []
        for number, shard in enumerate(shards.values()):
            sums = {name: int(found[number]) for name, found in given.items()}
            if difference := shard.wrong(sums):
                wrong.append(difference)
        if self._reader is not None and next(self._reader, None) is not None:
            wrong.append("more blocks than planned")
        if wrong:
            raise StreamError(
                f"rank {self.stream.rank}, epoch {self.epoch}: other rows than planned were "
                f"delivered: {'; '.join(wrong)}"
            )


class Rooms:
    """Memory of a stream's blocks and windows, used again from epoch to epoch."""

    def __init__(self, stream: "SplitStream") -> None:
        self.blocks = BlockRooms(stream.columns)
        rows = stream.batch_size_per_rank
        self.windows = WindowRooms(stream.columns, window_steps(stream), rows)


class _Shard:
    """What a shard gives, and has given."""

    def __init__(self, reader: EpochReader, shard: int) -> None:
        self._reader, self._shard = reader, shard
        self._columns: Columns = reader.stream.columns
        plan = reader.stream.plan(reader.epoch)
        self._width, self._rows = plan.slice_rows, plan.shard_rows(shard)
        self._begun = min(reader.first_step * plan.slice_rows, self._rows)
        self._position = self._begun
        self._held: Batch | None = None
        self._room: Batch = {}
        self._next = self._length = 0  # row of the block that is held, and rows of it
        self._read = dict.fromkeys(self._columns.arrays, 0)

    def deliver(self, places: Batch, first: int) -> None:
        """Fill the shard's slices of some steps.

        Args:
            places: arrays of shape (steps, slice, …), and `weight`.
            first: the first of the steps.
        """
        steps, width = len(places["weight"]), self._width
        done, want = 0, min(steps * width, self._rows - first * width)
        weight = places["weight"]
        while done < want:
            if self._held is None:
                self._take()
            assert self._held is not None
            step, column = divmod(done, width)
            rows = min(self._length - self._next, want - done)
            if column or rows < width:
                rows = min(rows, width - column)
                for name, array in self._held.items():
                    part = array[self._next : self._next + rows]
                    places[name][step, column : column + rows] = part
                weight[step, column : column + rows] = 1.0
            else:
                whole = rows // width
                rows = whole * width
                for name, array in self._held.items():
                    part = array[self._next : self._next + rows]
                    places[name][step : step + whole] = part.reshape(whole, width, *part.shape[1:])
                weight[step : step + whole] = 1.0
            done += rows
            self._next += rows
            self._position += rows
            if self._next == self._length:
                self._held = None
                self._reader.give_back(self._room)

    def _take(self) -> None:
        result = self._reader.next_block(self._shard, self._position)
        self._held, self._length = result.arrays, result.block.rows
        self._room = result.room
        self._next = self._position - result.block.first_row
        for name, found in result.sums.items():
            self._read[name] += found
        if self._next:  # rows that were consumed before the first step
            skipped = {name: array[: self._next] for name, array in result.arrays.items()}
            for name, found in self._columns.sums(skipped).items():
                self._read[name] -= found

    def wrong(self, given: dict[str, int]) -> str:
        """What differs from the plan; empty where nothing does.

        Args:
            given: checksums of the arrays that were delivered.
        """
        rows, planned = self._position - self._begun, self._rows - self._begun
        if rows != planned or self._held is not None:
            return f"shard {self._shard}: {rows} of {planned} rows"
        for name, read in self._read.items():
            if (read - given[name]) % 2**32:
                return f"shard {self._shard}: {name} has other values than were read"
        return ""


def window_steps(stream: "SplitStream") -> int:
    """Steps that are cut at once; the batches do not depend on it."""
    by_rows = _WINDOW_ROWS // (stream.global_batch_size // stream.canonical_shards)
    by_bytes = _WINDOW_BYTES // (stream.batch_size_per_rank * stream.columns.row_bytes)
    return max(1, min(by_rows, by_bytes, stream.steps))
