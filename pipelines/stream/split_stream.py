"""One rank's batches of one split, as NumPy: the plan executed and accounted for.

Cost: a row is decoded once, copied once into its block's arrays, once by the block's permutation
and once into its batch.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from pipelines.errors import StreamError
from pipelines.lake.files import DataFile, SplitName
from pipelines.lake.storage import is_storage_error, open_files, said
from pipelines.lake.version import DatasetVersion
from pipelines.quiet import quiet_import
from pipelines.stream.columns import Columns
from pipelines.stream.plan import EpochPlan, RowGroup, plan_epoch, reading_order, shards_of_rank

with quiet_import():  # petastorm warns about pyarrow.filesystem, and pkg_resources about itself
    import pyarrow.filesystem as legacy
    from petastorm.reader import Reader

    from pipelines.stream.pool import PlannedPool
    from pipelines.stream.worker import BlockRows, BlockWorker, Task

# Raised at every Reader that is opened; there is nothing a user could do about it.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\.|pyarrow\.")

Batch = dict[str, np.ndarray]

# Rows of a block at most, and bytes of one at most: some blocks a shard are held at once, so that
# wide rows (a 224 x 224 x 3 image has 150 kB) must come in shorter blocks than those of a table.
BLOCK_ROWS = 16_384
BLOCK_BYTES = 16 * 2**20


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
    _plans: dict[int, EpochPlan] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def of(
        dataset: DatasetVersion, split: SplitName, columns: Columns, **options: Any
    ) -> "SplitStream":
        """The stream of a split of a dataset version.

        `block_rows` follows from the width of a row where it is left out.

        Raises:
            StreamError: the dataset carries Petastorm's pickled metadata.
        """
        refuse_pickled_metadata(dataset.root)
        fitting = max(1, min(BLOCK_ROWS, BLOCK_BYTES // columns.row_bytes))
        options = {"block_rows": fitting, **options}
        return SplitStream(dataset.root, dataset.files(split), columns, **options)

    @property
    def rows(self) -> int:
        """Rows of the split, over all ranks."""
        return sum(file.rows for file in self.files)

    @property
    def batch_size_per_rank(self) -> int:
        return self.global_batch_size // self.size

    def plan(self, epoch: int) -> EpochPlan:
        """The plan of an epoch; the last one asked for is kept."""
        if epoch not in self._plans:
            self._plans.clear()
            groups = [
                RowGroup(file, index, rows)
                for file, item in enumerate(self.files)
                for index, rows in enumerate(item.row_groups)
            ]
            self._plans[epoch] = plan_epoch(
                groups,
                canonical_shards=self.canonical_shards,
                global_batch_size=self.global_batch_size,
                block_rows=self.block_rows,
                shuffle=self.shuffle,
                seed=self.seed,
                epoch=epoch,
            )
        return self._plans[epoch]

    @property
    def steps(self) -> int:
        """Steps of an epoch, the same in every epoch and on every rank."""
        longest = -(-self.rows // self.canonical_shards)
        return -(-longest // (self.global_batch_size // self.canonical_shards))

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The rank's share of global batch `first_step`, `first_step` + 1, …

        Every batch has `batch_size_per_rank` rows: each own shard's slice in turn, and padding
        (zeros, `weight` 0) where a shard has run out. Real rows have `weight` 1.

        Raises:
            StreamError: a row group cannot be read, or rows delivered differ from the plan.
        """
        plan = self.plan(epoch)
        shards = shards_of_rank(self.canonical_shards, self.rank, self.size)
        filesystem, base = petastorm_filesystem(self.root)
        paths = tuple(f"{base}/{file.path}" for file in self.files)
        expected = tuple(file.row_groups for file in self.files)
        order = reading_order(plan, shards, first_step)
        tasks = [Task(block, self.columns, paths, expected) for block in order]
        if not tasks:  # more shards than rows: this rank has only padding
            yield from self._padding(plan.steps - first_step)
            return
        pool = PlannedPool(tasks, workers_count=self.readers, ahead=len(shards) + self.readers)
        try:
            reader = Reader(
                filesystem,
                list(dict.fromkeys(paths[r.file] for block in order for r in block.ranges)),
                worker_class=BlockWorker,
                reader_pool=pool,
                shuffle_row_groups=False,
                num_epochs=1,
                is_batched_reader=True,
            )
        except Exception as error:
            if not (isinstance(error, pa.ArrowException) or is_storage_error(error)):
                raise
            raise StreamError(
                f"rank {self.rank}: a file of the dataset version is missing, damaged or out of "
                f"reach: {said(error)}"
            ) from error
        try:
            yield from self._cut(plan, shards, first_step, reader)
        finally:
            reader.stop()
            reader.join()

    def _cut(
        self, plan: EpochPlan, shards: range, first_step: int, reader: Iterator[BlockRows]
    ) -> Iterator[Batch]:
        """Cut the blocks, which come in the order they are needed, into batches."""
        width = plan.slice_rows
        held: dict[int, list[tuple[Batch, int]]] = {shard: [] for shard in shards}
        position = {shard: min(first_step * width, plan.shard_rows(shard)) for shard in shards}
        begun = dict(position)
        for step in range(first_step, plan.steps):
            batch = self.columns.empty(len(shards) * width)
            batch["weight"] = np.zeros(len(shards) * width, np.float32)
            for number, shard in enumerate(shards):
                target = number * width
                want = min(width, plan.shard_rows(shard) - step * width)
                while want > 0:
                    if not held[shard]:
                        self._take(reader, shard, held, position)
                    arrays, row = held[shard][0]
                    rows = len(arrays["label"])
                    part = min(want, rows - row)
                    for name, array in arrays.items():
                        batch[name][target : target + part] = array[row : row + part]
                    batch["weight"][target : target + part] = 1.0
                    held[shard][0] = (arrays, row + part)
                    if row + part == rows:
                        held[shard].pop(0)
                    position[shard] += part
                    target += part
                    want -= part
            yield batch
        self._account(plan, begun, position, held, reader)

    def _take(
        self,
        reader: Iterator[BlockRows],
        shard: int,
        held: dict[int, list[tuple[Batch, int]]],
        position: dict[int, int],
    ) -> None:
        result = next(reader, None)
        if result is None or result.block.shard != shard:
            came = "nothing" if result is None else f"a block of shard {result.block.shard}"
            raise StreamError(
                f"rank {self.rank}: shard {shard} needs rows from {position[shard]} on and {came} "
                "came; the reader pool broke the plan"
            )
        held[shard].append((result.arrays, position[shard] - result.block.first_row))

    def _account(
        self,
        plan: EpochPlan,
        begun: dict[int, int],
        position: dict[int, int],
        held: dict[int, list[tuple[Batch, int]]],
        reader: Iterator[BlockRows],
    ) -> None:
        wrong = [
            f"shard {shard}: {position[shard] - begun[shard]} of "
            f"{plan.shard_rows(shard) - begun[shard]}"
            for shard in position
            if position[shard] != plan.shard_rows(shard) or held[shard]
        ]
        if wrong or next(reader, None) is not None:
            raise StreamError(
                f"rank {self.rank} was given other rows than planned: "
                f"{'; '.join(wrong) or 'more blocks than planned'}"
            )

    def _padding(self, steps: int) -> Iterator[Batch]:
        for _ in range(steps):
            batch = self.columns.empty(self.batch_size_per_rank)
            batch["weight"] = np.zeros(self.batch_size_per_rank, np.float32)
            yield batch


class StoreFiles(legacy.DaskFileSystem):
    """An fsspec file system as the legacy dataset wants it; its base leaves these two open."""

    def isfile(self, path: str) -> bool:
        return bool(self.fs.isfile(path))

    def isdir(self, path: str) -> bool:
        return bool(self.fs.isdir(path))


def petastorm_filesystem(root: str) -> tuple[Any, str]:
    """A file system for Petastorm's `Reader`, and the path of `root` on it.

    Petastorm passes pyarrow arguments that only the legacy dataset takes, and pyarrow 14 chooses
    the legacy dataset by the type of the file system alone.
    """
    filesystem, path = open_files(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        local = isinstance(filesystem, LocalFileSystem)
        return (pa.localfs if local else StoreFiles(filesystem)), path


def refuse_pickled_metadata(root: str) -> None:
    """Refuse a folder with `_common_metadata`: Petastorm would un-pickle it, which runs code.

    Raises:
        StreamError: there is one.
    """
    filesystem, base = open_files(root)
    if filesystem.exists(f"{base}/_common_metadata"):
        raise StreamError(
            f"{root} holds _common_metadata, where Petastorm keeps a pickled schema; reading it "
            "would run code from the dataset, so Headrace does not. Remove the file: the Parquet "
            "files themselves have the schema"
        )
