"""Petastorm worker that reads a planned block with pyarrow, straight into the final arrays.

Petastorm's own batch worker goes through pandas, a column at a time, and hands on whole row groups
only. This one reads the wanted columns and rows, and puts them, permuted, into the batches' sheets.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from headrace.errors import StreamError
from headrace.lake.checksums import column_sum
from headrace.lake.data_file import DataFile
from headrace.lake.storage import is_storage_error
from headrace.stream.batch_assembly import Sheets
from headrace.stream.buffer_pool import Rooms
from headrace.stream.cache import Cache
from headrace.stream.columns import Columns
from headrace.stream.footers import Footer, Footers, retried, unreadable
from headrace.stream.petastorm_api import EmptyResultError, WorkerBase
from headrace.stream.plan import Block, RowRange

# What pyarrow raises where a file is not what it was.
_DAMAGED = (pa.ArrowException, RuntimeError, KeyError, IndexError)


@dataclass(frozen=True)
class Task:
    """One block for a worker.

    Attributes:
        block: what to read.
        columns: of it.
        paths, files, footers: the split's files, their full paths and their footers.
        rooms: memory in which the block lies before it is permuted.
        sheets: where the rows go.
        skip: rows of the permuted block that were consumed before.
        cache: where row groups are looked for first.
    """

    block: Block
    columns: Columns
    paths: tuple[str, ...]
    files: tuple[DataFile, ...]
    footers: Footers
    rooms: Rooms
    sheets: Sheets
    skip: int = 0
    cache: Cache | None = None


@dataclass(frozen=True)
class BlockRows:
    """A block whose rows were put into the sheets.

    Attributes:
        block: what was read.
        sums: checksum of each array's rows, made of what was decoded.
    """

    block: Block
    sums: dict[str, int]


class BlockWorker(WorkerBase):
    """Reads tasks one after the other; an instance belongs to one thread.

    A row group that was used in part is kept decoded: neighbouring shards share the row group they
    are cut in, and are read one after the other.
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
        out = task.rooms.take(block.rows)
        sums = dict.fromkeys(out, 0)
        row = 0
        for item in block.ranges:
            table, footer = self._row_group(task, item)
            rows = {name: array[row : row + item.rows] for name, array in out.items()}
            try:
                task.columns.fill(rows, 0, table.slice(item.start, item.rows))
            except StreamError as error:
                path = task.paths[item.file]
                raise StreamError(f"{path} row group {item.row_group}: {error}") from None
            part = task.columns.sums(rows)
            if footer is not None and item.rows == table.num_rows:
                _compare(task, item, table, footer, part)
            sums = {name: total + part[name] for name, total in sums.items()}
            row += item.rows
        order = None
        if block.permutation_seed is not None:
            order = np.random.default_rng(block.permutation_seed).permutation(block.rows)
        if task.skip:
            order = np.arange(block.rows) if order is None else order
            consumed = {name: array[order[: task.skip]] for name, array in out.items()}
            for name, found in task.columns.sums(consumed).items():
                sums[name] -= found
            order = order[task.skip :]
        task.sheets.write(block.shard, block.first_row + task.skip, out, order)
        self.publish_func(BlockRows(block, sums))

    def _row_group(self, task: Task, item: RowRange) -> tuple[pa.Table, Footer | None]:
        """The row group; and the footer of its file where its values are still to be compared."""
        path = task.paths[item.file]
        where = f"{path} row group {item.row_group}"
        if self._kept and self._kept[:2] == (path, item.row_group):
            return self._kept[2], None
        key = _key(task, item) if task.cache else ""
        table = task.cache.get(key) if task.cache else None
        footer = None
        if table is None:
            try:
                table, footer = retried(lambda: self._read(task, item))
            except StreamError:
                raise
            except Exception as error:
                if not (isinstance(error, _DAMAGED) or is_storage_error(error)):
                    raise
                raise unreadable(where, error) from error
            if task.cache or item.rows != table.num_rows:
                _compare_columns(where, table, footer, item.row_group)
                footer = None
            if task.cache:
                task.cache.put(key, table)
        self._kept = (path, item.row_group, table) if item.rows != table.num_rows else None
        return table, footer

    def _read(self, task: Task, item: RowRange) -> tuple[pa.Table, Footer]:
        path = task.paths[item.file]
        names = task.columns.names()
        local = isinstance(self._filesystem, LocalFileSystem)
        # Not the file system's own: Python's file would take the interpreter's lock.
        with pa.OSFile(path) if local else self._filesystem.open(path, "rb") as source:
            footer = task.footers.of(path, source, task.files[item.file])
            file = pq.ParquetFile(source, metadata=footer.meta, pre_buffer=not local)
            table = file.read_row_group(item.row_group, columns=names, use_threads=False)
        if table.num_columns != len(names):
            found = set(table.column_names)  # a list that pyarrow makes anew each time
            lost = next(name for name in names if name not in found)
            raise StreamError(f"{path} has no column {lost!r}")
        return table, footer


def _key(task: Task, item: RowRange) -> str:
    file = task.files[item.file]
    known = f"{file.bytes} {file.footer} {file.content}"
    return f"{task.paths[item.file]} {known} {item.row_group} {task.columns.names()}"


def _compare(
    task: Task, item: RowRange, table: pa.Table, footer: Footer, found: dict[str, int]
) -> None:
    """Hold a whole row group to the checksums that the file was written with.

    Args:
        found: checksums of its arrays; they cost less than those of columns, and show that the
            arrays were filled right.
    """
    noted = task.columns.noted_sums(footer.checksums, item.row_group)
    if any(found[name] != expected for name, expected in noted.items()):
        where = f"{task.paths[item.file]} row group {item.row_group}"
        _compare_columns(where, table, footer, item.row_group)
        raise StreamError(f"{where}: its values did not come into their arrays, a defect")


def _compare_columns(where: str, table: pa.Table, footer: Footer, index: int) -> None:
    for name in table.column_names:
        if name in footer.checksums:
            found, expected = column_sum(table[name]), footer.checksums[name][index]
            if found != expected:
                raise StreamError(
                    f"{where}: the values of column {name!r} have checksum {found:08x}, they were "
                    f"written with {expected:08x}; the file is damaged, restore it"
                )


class BlockResults:
    """Petastorm's result reader for blocks: hands them on as they are."""

    batched_output = True

    def read_next(self, workers_pool: Any, schema: Any, ngram: Any) -> BlockRows:
        try:
            result: BlockRows = workers_pool.get_results()
        except EmptyResultError:
            raise StopIteration from None
        return result
