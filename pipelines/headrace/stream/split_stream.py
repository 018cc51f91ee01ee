"""Stream one rank's batches of a split as NumPy arrays, epoch after epoch.

The state of a stream is (epoch, step) and nothing else: batches are a function of the dataset
version, the seed, the epoch and the step, whichever rank reads them. So a run resumes where another
one ended, with any number of ranks, and without reading what was consumed. Reading an epoch is left
to `epoch_reader.py`, and tensors to `dataset.py`.

Memory: one block of each of the rank's shards, and as many prefetched ones; see `memory_bytes`, and
`memory.py` for how it is bounded.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from headrace.errors import StreamError
from headrace.lake.data_file import DataFile, SplitName
from headrace.lake.version import DatasetVersion
from headrace.stream.batch_assembly import Batch
from headrace.stream.block_reader import Engine
from headrace.stream.cache import Cache
from headrace.stream.columns import Columns
from headrace.stream.epoch_reader import EpochReader, EpochSource, StreamBuffers
from headrace.stream.memory import STACKS, SplitSize, choose_shape, choose_stack_bytes
from headrace.stream.pickled_metadata import refuse_pickled_metadata
from headrace.stream.plan import (
    BLOCK_ROWS,
    EpochPlan,
    assign_shards,
    count_steps,
    locate_rows,
    plan_epoch,
)
from headrace.stream.row_ranges import RowGroupIndex, index_row_groups
from headrace.stream.verified import VerifiedRowGroups

# Rows of a shard in a batch stack, and bytes of a stack, at most.
_STACK_ROWS = 2048
_STACK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class SplitStream:
    """A rank's view of a split.

    Attributes:
        root: folder or URL below which the files lie.
        files: the split's files in canonical order.
        columns: the columns to read, and their arrays.
        rank, size: the rank that reads, and the number of ranks.
        global_batch_size: rows of a step over all ranks.
        canonical_shards: divides `global_batch_size`, and is divisible by `size`.
        shuffle, seed: see `plan.plan_epoch`.
        readers: number of reader threads.
        block_rows: rows of a shard that are permuted together; the order depends on it.
        drop_last: leave out rows that do not fill a global batch, different ones in each epoch.
        memory: bytes that blocks and stacks of all ranks take together at most; None for as many as
            `block_rows` and `canonical_shards` come to.
        cache: stores row groups that were read.
        engine: what reads; the batches do not depend on it.
    """

    root: str
    files: tuple[DataFile, ...]
    columns: Columns
    rank: int
    size: int
    global_batch_size: int
    canonical_shards: int
    shuffle: bool
    seed: int
    readers: int = 1
    block_rows: int = BLOCK_ROWS
    drop_last: bool = False
    memory: int | None = None
    cache: Cache | None = None
    engine: Engine = "petastorm"
    _plans: dict[int, EpochPlan] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def for_split(
        dataset: DatasetVersion, split: SplitName, columns: Columns, **options: Any
    ) -> "SplitStream":
        """Build the stream of a split of a dataset version.

        Args:
            dataset: the dataset version.
            split: name of the split.
            columns: the columns to read, and their arrays.
            options: further attributes of `SplitStream`. Where they are left out or None,
                `block_rows` follows from the width of a row and `canonical_shards` from the number
                of rows; and both from `memory` where it bounds them.

        Raises:
            StreamError: the dataset carries Petastorm's pickled metadata, or `memory` is too little
                for its row groups.
        """
        refuse_pickled_metadata(dataset.root)
        files = dataset.list_files(split)
        shape = choose_shape(
            measure_split(files, columns, options["global_batch_size"]),
            canonical_shards=options.get("canonical_shards"),
            block_rows=options.get("block_rows"),
            memory=options.get("memory"),
            ranks=options["size"],
        )
        options |= {"block_rows": shape.block_rows, "canonical_shards": shape.canonical_shards}
        return SplitStream(dataset.root, files, columns, **options)

    @cached_property
    def _buffers(self) -> StreamBuffers:
        return StreamBuffers(self.columns)

    @cached_property
    def _verified(self) -> VerifiedRowGroups:
        return VerifiedRowGroups(self.index)

    @property
    def _threads(self) -> int:
        """Return the reader threads; where memory is bounded, one for each own shard at most."""
        if self.memory is None:
            return self.readers
        return min(self.readers, self.canonical_shards // self.size)

    @cached_property
    def index(self) -> RowGroupIndex:
        """Return the row groups of the split, in canonical order."""
        return index_row_groups([file.row_groups for file in self.files])

    @cached_property
    def rows(self) -> int:
        """Return the number of rows of the split, over all ranks."""
        return int(self.index.rows.sum())

    @property
    def batch_size_per_rank(self) -> int:
        """Return the number of rows of a step on one rank."""
        return self.global_batch_size // self.size

    def plan_epoch(self, epoch: int) -> EpochPlan:
        """Return the plan of an epoch for the rank's shards; the last two plans are cached."""
        if epoch not in self._plans:
            while len(self._plans) > 1:
                del self._plans[next(iter(self._plans))]
            self._plans[epoch] = plan_epoch(
                self.index,
                canonical_shards=self.canonical_shards,
                global_batch_size=self.global_batch_size,
                block_rows=self.block_rows,
                shuffle=self.shuffle,
                seed=self.seed,
                epoch=epoch,
                drop_last=self.drop_last,
                shards=assign_shards(self.canonical_shards, self.rank, self.size),
            )
        return self._plans[epoch]

    @property
    def steps(self) -> int:
        """Return the number of steps, the same in every epoch and on every rank."""
        return count_steps(
            self.rows, self.canonical_shards, self.global_batch_size, drop_last=self.drop_last
        )[0]

    @property
    def memory_bytes(self) -> int:
        """Return the most bytes that blocks and batch stacks take on one rank.

        For each shard that is the block in use, the one after it and, towards the end of an epoch,
        the first of the next epoch; and a reader's block and row group. A block may be longer than
        `block_rows` by a row group. Batches that the caller holds are not counted.
        """
        size = measure_split(self.files, self.columns, self.global_batch_size)
        stacks = choose_steps_per_stack(self) * STACKS * size.step_bytes
        readers = self._threads * self.size
        shards, rows = self.canonical_shards, self.block_rows
        return size.predict_memory(shards, rows, stacks, readers) // self.size

    def locate_rows(self, step: int) -> np.ndarray:
        """Return the positions of the rows of the rank's batch in the canonical order of the split,
        int64 (batch_size_per_rank,), -1 for padding; of a stream that keeps that order.

        Raises:
            StreamError: rows are shuffled or dropped.
        """
        if self.shuffle or self.drop_last:
            raise StreamError("rows of a stream that is shuffled, or drops some, have no position")
        slice_rows = self.global_batch_size // self.canonical_shards
        shards = assign_shards(self.canonical_shards, self.rank, self.size)
        return locate_rows(self.rows, self.canonical_shards, slice_rows, shards, step)

    def read_batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Read the rank's part of global batch `first_step`, `first_step` + 1, … of one epoch.

        Every batch has `batch_size_per_rank` rows: the slice of each of the rank's shards in turn,
        and padding (zeros, `weight` 0) where a shard has no more rows. Real rows have `weight` 1.

        Raises:
            StreamError: a row group cannot be read, or the delivered rows differ from the plan; the
                latter before the epoch's last batches are yielded.
        """
        return self.read_epochs([epoch], first_step)

    def read_epochs(self, epochs: Sequence[int], first_step: int = 0) -> Iterator[Batch]:
        """Read the batches of epoch after epoch; each is prefetched once the one before is read.

        Args:
            epochs: numbers of the epochs.
            first_step: first step of the first epoch.

        Raises:
            StreamError: see `read_batches`.
        """
        for stack in self.read_batch_stacks(epochs, first_step):
            for step in range(len(stack["weight"])):
                yield {name: array[step] for name, array in stack.items()}

    def read_batch_stacks(self, epochs: Sequence[int], first_step: int = 0) -> Iterator[Batch]:
        """Read the batches of `read_epochs` as batch stacks: arrays of shape (steps, rows, …).

        A stack has batches of one epoch; how many is not part of the plan. Its memory is reused
        only when nothing refers to it any more.
        """
        epoch_readers: list[EpochReader] = []
        with ThreadPoolExecutor(self._threads, thread_name_prefix="headrace-reader") as threads:
            try:
                for position, epoch in enumerate(epochs):
                    if not epoch_readers:
                        first = 0 if position else first_step
                        epoch_readers.append(self._open_epoch(epoch, first, threads))
                    for stack in epoch_readers[0].read_batch_stacks():
                        if (
                            len(epoch_readers) == 1
                            and position + 1 < len(epochs)
                            and epoch_readers[0].has_submitted_all
                        ):
                            epoch_readers.append(self._open_epoch(epochs[position + 1], 0, threads))
                        yield stack
                    epoch_readers.pop(0).close()
            finally:
                for reader in epoch_readers:
                    reader.close()

    def _open_epoch(self, epoch: int, first_step: int, threads: ThreadPoolExecutor) -> EpochReader:
        source = EpochSource(
            root=self.root,
            files=self.files,
            columns=self.columns,
            rank=self.rank,
            shards=assign_shards(self.canonical_shards, self.rank, self.size),
            plan=self.plan_epoch(epoch),
            epoch=epoch,
            first_step=first_step,
            steps_per_stack=choose_steps_per_stack(self),
            readers=self._threads,
            cache=self.cache,
            engine=self.engine,
            verified=self._verified,
        )
        return EpochReader(source, self._buffers, threads)


def measure_split(files: Sequence[DataFile], columns: Columns, global_batch_size: int) -> SplitSize:
    """Measure what of a split and its batches decides the memory of its stream."""
    rows = sum(file.rows for file in files)
    longest = max((max(file.row_groups, default=0) for file in files), default=0)
    return SplitSize(rows, longest, columns.row_bytes, columns.widest_bytes, global_batch_size)


def choose_steps_per_stack(stream: "SplitStream") -> int:
    """Choose the steps of a batch stack; the batches do not depend on it."""
    by_rows = _STACK_ROWS // (stream.global_batch_size // stream.canonical_shards)
    bytes_ = _STACK_BYTES
    if stream.memory is not None:
        bytes_ = min(bytes_, choose_stack_bytes(stream.memory) // stream.size // STACKS)
    step_bytes = stream.batch_size_per_rank * (stream.columns.row_bytes + 4)
    by_bytes = bytes_ // step_bytes
    return max(1, min(by_rows, by_bytes, stream.steps))
