"""One rank's view of a split, and its batches as NumPy.

The state of a stream is (epoch, step) and nothing else: batches are a function of the dataset
version, the seed, the epoch and the step, whoever reads them, so a run goes on where another one
was, with as many ranks as it likes, and without reading what was consumed.

Memory: the batches of one block of each own shard, and of as many read ahead; see `memory_bytes`.
"""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from headrace.lake.data_file import DataFile, SplitName
from headrace.lake.version import DatasetVersion
from headrace.stream.batch_assembly import Batch
from headrace.stream.cache import Cache
from headrace.stream.columns import Columns
from headrace.stream.epoch_reader import EpochReader, EpochSource, StreamRooms
from headrace.stream.petastorm_filesystem import refuse_pickled_metadata
from headrace.stream.plan import (
    BLOCK_ROWS,
    EpochPlan,
    RowGroup,
    epoch_steps,
    fitting_rows,
    fitting_shards,
    plan_epoch,
    row_groups_of,
    shards_of_rank,
)

# Rows of a shard in a sheet, and bytes of a sheet, at most.
_SHEET_ROWS = 2048
_SHEET_BYTES = 32 * 2**20

# Raised at every Reader that is opened; there is nothing a user could do about it.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\.|pyarrow\.")


@dataclass(frozen=True)
class SplitStream:
    """A rank's view of a split.

    Attributes:
        root: folder or URL below which the files lie.
        files: the split's files in canonical order.
        columns: what to read.
        rank, size: who reads, of how many.
        global_batch_size: rows a step over all ranks.
        canonical_shards: divides `global_batch_size`, and is divided by `size`.
        shuffle, seed: see `plan.plan_epoch`.
        readers: reader threads.
        block_rows: rows of a shard that are permuted together; part of what decides the order.
        drop_last: leave out rows that do not fill a global batch, other ones in each epoch.
        cache: where row groups are kept once they were read.
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
    cache: Cache | None = None
    _plans: dict[int, EpochPlan] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def of(
        dataset: DatasetVersion, split: SplitName, columns: Columns, **options: Any
    ) -> "SplitStream":
        """The stream of a split of a dataset version.

        Where they are left out or None, `block_rows` follows from the width of a row and
        `canonical_shards` from the number of rows.

        Raises:
            StreamError: the dataset carries Petastorm's pickled metadata.
        """
        refuse_pickled_metadata(dataset.root)
        files = dataset.files(split)
        block_rows = options.get("block_rows") or fitting_rows(columns.row_bytes)
        shards = options.get("canonical_shards") or fitting_shards(
            sum(file.rows for file in files), options["global_batch_size"], block_rows
        )
        options = {**options, "block_rows": block_rows, "canonical_shards": shards}
        return SplitStream(dataset.root, files, columns, **options)

    @cached_property
    def _rooms(self) -> StreamRooms:
        return StreamRooms(self.columns)

    @property
    def rows(self) -> int:
        """Rows of the split, over all ranks."""
        return sum(file.rows for file in self.files)

    @property
    def batch_size_per_rank(self) -> int:
        return self.global_batch_size // self.size

    def plan(self, epoch: int) -> EpochPlan:
        """The plan of an epoch; the last two asked for are kept."""
        if epoch not in self._plans:
            while len(self._plans) > 1:
                del self._plans[next(iter(self._plans))]
            self._plans[epoch] = plan_epoch(
                self.row_groups(),
                canonical_shards=self.canonical_shards,
                global_batch_size=self.global_batch_size,
                block_rows=self.block_rows,
                shuffle=self.shuffle,
                seed=self.seed,
                epoch=epoch,
                drop_last=self.drop_last,
            )
        return self._plans[epoch]

    def row_groups(self) -> list[RowGroup]:
        """All of the split, in canonical order."""
        return row_groups_of([file.row_groups for file in self.files])

    @property
    def steps(self) -> int:
        """Steps of an epoch, the same in every epoch and on every rank."""
        return epoch_steps(
            self.rows, self.canonical_shards, self.global_batch_size, drop_last=self.drop_last
        )[0]

    @property
    def memory_bytes(self) -> int:
        """What the rank's batches in the making and reader threads take at most.

        For each shard that is the block in use, the one after it and, towards the end of an epoch,
        the first of the next epoch. The row group in hand is not counted, nor what the user of the
        batches keeps. A block may be longer than `block_rows` by a row group.
        """
        longest = max((rows for file in self.files for rows in file.row_groups), default=0)
        shards = self.canonical_shards // self.size
        in_shard = -(-self.rows // self.canonical_shards)
        block = min(self.block_rows + longest, in_shard) * self.columns.row_bytes
        sheet = sheet_steps(self) * self.batch_size_per_rank * (self.columns.row_bytes + 4)
        # Sheets are whole: one is begun and one is ended in an epoch that is under way, and some
        # are with the user. A reader has a block that is not permuted yet.
        return (3 * shards + self.readers) * block + 6 * sheet

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The rank's share of global batch `first_step`, `first_step` + 1, … of one epoch.

        Every batch has `batch_size_per_rank` rows: each own shard's slice in turn, and padding
        (zeros, `weight` 0) where a shard has run out. Real rows have `weight` 1.

        Raises:
            StreamError: a row group cannot be read, or rows delivered differ from the plan; the
                latter before the epoch's last batches are given.
        """
        return self.epochs([epoch], first_step)

    def epochs(self, epochs: Sequence[int], first_step: int = 0) -> Iterator[Batch]:
        """The batches of epoch after epoch; the next one is read ahead when one is read to its end.

        Args:
            epochs: their numbers.
            first_step: of the first of them.

        Raises:
            StreamError: as `batches`.
        """
        for sheet in self.sheets(epochs, first_step):
            for step in range(len(sheet["weight"])):
                yield {name: array[step] for name, array in sheet.items()}

    def sheets(self, epochs: Sequence[int], first_step: int = 0) -> Iterator[Batch]:
        """As `epochs`, some batches at a time: arrays of shape (batches, rows, …).

        A sheet has batches of one epoch; how many is not part of the plan. Its memory is used
        again only when nothing refers to it any more.
        """
        opened: list[EpochReader] = []
        with ThreadPoolExecutor(self.readers, thread_name_prefix="headrace-reader") as threads:
            try:
                for place, epoch in enumerate(epochs):
                    if not opened:
                        first = 0 if place else first_step
                        opened.append(self._open_epoch(epoch, first, threads))
                    for sheet in opened[0].sheets():
                        if len(opened) == 1 and place + 1 < len(epochs) and opened[0].all_begun:
                            opened.append(self._open_epoch(epochs[place + 1], 0, threads))
                        yield sheet
                    opened.pop(0).close()
            finally:
                for reader in opened:
                    reader.close()

    def _open_epoch(self, epoch: int, first_step: int, threads: ThreadPoolExecutor) -> EpochReader:
        source = EpochSource(
            root=self.root,
            files=self.files,
            columns=self.columns,
            rank=self.rank,
            shards=shards_of_rank(self.canonical_shards, self.rank, self.size),
            plan=self.plan(epoch),
            epoch=epoch,
            first_step=first_step,
            steps_per_sheet=sheet_steps(self),
            readers=self.readers,
            cache=self.cache,
        )
        return EpochReader(source, self._rooms, threads)


def sheet_steps(stream: "SplitStream") -> int:
    """Steps of a sheet; the batches do not depend on it."""
    by_rows = _SHEET_ROWS // (stream.global_batch_size // stream.canonical_shards)
    by_bytes = _SHEET_BYTES // (stream.batch_size_per_rank * stream.columns.row_bytes)
    return max(1, min(by_rows, by_bytes, stream.steps))
