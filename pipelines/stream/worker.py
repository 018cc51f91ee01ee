"""Petastorm worker that reads a planned block with pyarrow, straight into the final arrays.

Petastorm's own batch worker goes through pandas, a column at a time, and hands on whole row groups
only. This one reads the wanted columns and rows, permutes them, and publishes NumPy arrays.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from petastorm.workers_pool import EmptyResultError
from petastorm.workers_pool.worker_base import WorkerBase

from pipelines.errors import StreamError
from pipelines.lake.storage import is_storage_error, said
from pipelines.stream.columns import Columns
from pipelines.stream.plan import Block, RowRange

# What pyarrow raises where a file is not what it was.
_DAMAGED = (pa.ArrowException, RuntimeError, KeyError, IndexError)


@dataclass(frozen=True)
class Task:
    """One block for a worker: the files' full paths, and the rows their row groups must have."""

    block: Block
    columns: Columns
    paths: tuple[str, ...]
    expected_rows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class BlockRows:
    """A block that was read: arrays of `rows` rows, permuted."""

    block: Block
    arrays: dict[str, np.ndarray]


class BlockWorker(WorkerBase):
    """Reads tasks one after the other; an instance belongs to one thread.

    The last row group is kept decoded: neighbouring shards share the row group they are cut in,
    and are read one after the other.
    """

    def __init__(self, worker_id: int, publish_func: Any, args: Any) -> None:
        super().__init__(worker_id, publish_func, args)
        self._filesystem = args[0]
        self._kept: tuple[str, int, pa.Table] | None = None

    @staticmethod
    def new_results_queue_reader() -> "BlockResults":
        return BlockResults()

    def process(self, task: Task) -> None:
        block = task.block
        out = task.columns.empty(block.rows)
        order = None
        if block.permutation_seed is not None:
            order = np.random.default_rng(block.permutation_seed).permutation(block.rows)
        row = 0
        for item in block.ranges:
            table = self._row_group(task, item).slice(item.start, item.rows)
            try:
                task.columns.fill(out, row, table)
            except StreamError as error:
                path = task.paths[item.file]
                raise StreamError(f"{path} row group {item.row_group}: {error}") from None
            row += item.rows
        if order is not None:
            out = {name: array[order] for name, array in out.items()}
        self.publish_func(BlockRows(block, out))

    def _row_group(self, task: Task, item: RowRange) -> pa.Table:
        path = task.paths[item.file]
        if self._kept and self._kept[:2] == (path, item.row_group):
            return self._kept[2]
        try:
            with self._filesystem.open(path, "rb") as source:
                file = pq.ParquetFile(source)
                found = file.metadata.row_group(item.row_group).num_rows
                expected = task.expected_rows[item.file][item.row_group]
                if found != expected:
                    raise StreamError(
                        f"{path} row group {item.row_group} has {found} rows, the dataset version "
                        f"says {expected}: the file was rewritten after it was published"
                    )
                table = file.read_row_group(
                    item.row_group, columns=task.columns.names(), use_threads=False
                )
        except StreamError:
            raise
        except Exception as error:
            if not (isinstance(error, _DAMAGED) or is_storage_error(error)):
                raise
            raise StreamError(
                f"{path} row group {item.row_group} cannot be read: {said(error)}"
            ) from error
        self._kept = (path, item.row_group, table)
        return table


class BlockResults:
    """Petastorm's result reader for blocks: hands them on as they are."""

    batched_output = True

    def read_next(self, workers_pool: Any, schema: Any, ngram: Any) -> BlockRows:
        try:
            result: BlockRows = workers_pool.get_results()
        except EmptyResultError:
            raise StopIteration from None
        return result
