"""Read planned blocks with pyarrow, check their values, and write them into the batch stacks.

A worker reads the planned columns and rows, and writes them, permuted, to where
`batch_assembly.py` assembles the batches. Which blocks it reads, and on which thread, is left to
the readers (`petastorm_reader.py`, `pyarrow_reader.py`).
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import StreamError
from headrace.lake.checksums import fingerprint_column, sum_column
from headrace.lake.data_file import DataFile
from headrace.lake.storage import is_storage_error
from headrace.stream.batch_assembly import BatchAssembly
from headrace.stream.buffer_pool import BufferPool
from headrace.stream.cache import Cache
from headrace.stream.columns import Columns
from headrace.stream.footers import (
    Footer,
    FooterCache,
    build_read_error,
    is_local,
    open_data_file,
    retry_transient_errors,
)
from headrace.stream.plan import Block
from headrace.stream.row_ranges import RowRange
from headrace.stream.verified import VerifiedRowGroups
from headrace.work_note import note_work

READ_BYTES = 8 * 2**20
"""Decoded bytes of columns that are read at once: reading a row group took five times its decoded
bytes, so that a large one is read some columns at a time."""

# Files of this host that each reader thread keeps open: to open one costs what 600 rows do.
_OPEN_FILES = 16
# What pyarrow raises where a file is damaged.
_DAMAGE_ERRORS = (pa.ArrowException, RuntimeError, KeyError, IndexError)


@dataclass(frozen=True)
class BlockTask:
    """One block for a worker.

    Attributes:
        block: the block to read.
        columns: the columns to read, and their arrays.
        paths: position of a file of the split -> its full path, of those that the rank reads.
        files, footers: the split's files, and the footers of those that were opened.
        buffers: memory for the block before it is permuted.
        assembly: assembles the batches.
        consumed_rows: rows of the permuted block that were consumed before reading begins.
        cache: is searched for row groups first.
        verified: row groups whose fingerprints need not be compared again.
    """

    block: Block
    columns: Columns
    paths: Mapping[int, str]
    files: tuple[DataFile, ...]
    footers: FooterCache
    buffers: BufferPool
    assembly: BatchAssembly
    consumed_rows: int = 0
    cache: Cache | None = None
    verified: VerifiedRowGroups | None = None


@dataclass(frozen=True)
class BlockResult:
    """The result of a task: a block whose rows were written into the batch stacks.

    Attributes:
        block: the block that was read.
        checksums: checksum of each array's rows, computed from the decoded rows.
    """

    block: Block
    checksums: dict[str, int]


class BlockWorker:
    """A worker that reads blocks one after the other; an instance belongs to one thread.

    The last row group stays decoded where only a part of it was used: neighbouring shards share the
    row group at their boundary, and are read one after the other.
    """

    def __init__(self, filesystem: Any) -> None:
        """
        Args:
            filesystem: fsspec file system of the files.
        """
        self._filesystem = filesystem
        self._last_row_group: tuple[str, int, pa.Table] | None = None
        self._opened: OrderedDict[str, tuple[Footer, pq.ParquetFile]] = OrderedDict()

    def read_block(self, task: BlockTask) -> BlockResult:
        """Read one block, check it, write it into the batch stacks, and return its checksums.

        Raises:
            StreamError: a file cannot be read, or is not the one that was published.
        """
        block = task.block
        arrays = task.buffers.acquire_arrays(block.rows)
        checksums = dict.fromkeys(arrays, 0)
        row = 0
        for item in block.ranges:
            table, footer = self._load_row_group(task, item)
            rows = {name: array[row : row + item.rows] for name, array in arrays.items()}
            try:
                task.columns.fill_arrays(rows, 0, table.slice(item.start, item.rows))
            except StreamError as error:
                path = task.paths[item.file]
                raise StreamError(f"{path} row group {item.row_group}: {error}") from None
            range_checksums = task.columns.compute_checksums(rows)
            if footer is not None and item.rows == table.num_rows:
                _verify_row_group(task, item, table, footer, range_checksums)
            for name, checksum in range_checksums.items():
                checksums[name] += checksum
            row += item.rows
        order = None
        if block.permutation_seed is not None:
            order = np.random.default_rng(block.permutation_seed).permutation(block.rows)
        if task.consumed_rows:
            order = np.arange(block.rows) if order is None else order
            consumed = {name: array[order[: task.consumed_rows]] for name, array in arrays.items()}
            for name, checksum in task.columns.compute_checksums(consumed).items():
                checksums[name] -= checksum
            order = order[task.consumed_rows :]
        task.assembly.write_rows(block.shard, block.first_row + task.consumed_rows, arrays, order)
        return BlockResult(block, checksums)

    def _load_row_group(self, task: BlockTask, item: RowRange) -> tuple[pa.Table, Footer | None]:
        """Load a row group: the last one, from the cache, or from its file.

        Returns:
            the row group, and its file's footer where its values are still to be verified.
        """
        path = task.paths[item.file]
        location = f"{path} row group {item.row_group}"
        if self._last_row_group and self._last_row_group[:2] == (path, item.row_group):
            return self._last_row_group[2], None
        key = _build_cache_key(task, item) if task.cache else ""
        table = task.cache.get(key) if task.cache else None
        footer = None
        if table is None:
            try:
                table, footer = retry_transient_errors(lambda: self._read_row_group(task, item))
            except StreamError:
                raise
            except Exception as error:
                if not (isinstance(error, _DAMAGE_ERRORS) or is_storage_error(error)):
                    raise
                raise build_read_error(location, error) from error
            if not _is_verified(task, item, footer):
                _verify_fingerprints(location, table, footer, item.row_group)
                if task.verified is not None:
                    task.verified.add(item.file, item.row_group)
            if task.cache or item.rows != table.num_rows:
                _verify_columns(location, table, footer, item.row_group)
                footer = None
            if task.cache:
                task.cache.put(key, table)
        self._last_row_group = (
            (path, item.row_group, table) if item.rows != table.num_rows else None
        )
        return table, footer

    def _read_row_group(self, task: BlockTask, item: RowRange) -> tuple[pa.Table, Footer]:
        """Read a row group's columns, and the footer of its file.

        Raises:
            StreamError: the file is not the one that was published, or lacks a column.
        """
        path = task.paths[item.file]
        names = task.columns.list_names()
        note_work(path)
        with self._open_file(task, item) as (footer, file):
            rows = footer.metadata.row_group(item.row_group).num_rows
            parts = [
                file.read_row_group(item.row_group, columns=group, use_threads=False)
                for group in task.columns.group_names(rows, READ_BYTES)
            ]
        note_work("")
        table = _join_columns(parts)
        if table.num_columns != len(names):
            present = set(table.column_names)  # pyarrow builds a new list at every access
            missing = next(name for name in names if name not in present)
            raise StreamError(f"{path} has no column {missing!r}")
        return table, footer

    @contextmanager
    def _open_file(
        self, task: BlockTask, item: RowRange
    ) -> Iterator[tuple[Footer, pq.ParquetFile]]:
        """Open a range's file, or take it from those that are open: some of this host stay so, as
        the next row group may be of any of them.

        Raises:
            StreamError: the file is not the one that was published.
        """
        path = task.paths[item.file]
        if held := self._opened.pop(path, None):
            footer, file = held
        else:
            footer, file = self._open_new_file(task, path, task.files[item.file])
        try:
            yield footer, file
        except BaseException:
            file.close(force=True)
            raise
        if not is_local(self._filesystem):
            file.close(force=True)
            return
        self._opened[path] = footer, file
        while len(self._opened) > _OPEN_FILES:
            _, (_, oldest) = self._opened.popitem(last=False)
            oldest.close(force=True)

    def _open_new_file(
        self, task: BlockTask, path: str, expected: DataFile
    ) -> tuple[Footer, pq.ParquetFile]:
        source = open_data_file(self._filesystem, path)
        try:
            footer = task.footers.get_footer(path, source, expected)
            # Fingerprints show the same as CRC-32 of the pages, and cost less.
            has_fingerprints = footer.fingerprints.keys() >= {*task.columns.list_names()}
            return footer, pq.ParquetFile(
                source,
                metadata=footer.metadata,
                pre_buffer=not is_local(self._filesystem),
                page_checksum_verification=not has_fingerprints,
            )
        except BaseException:
            source.close()
            raise


def _is_verified(task: BlockTask, item: RowRange, footer: Footer) -> bool:
    """Return whether a row group's fingerprints were compared before, and need not be once more.

    They are where its columns have no sums to be compared with instead, and where it goes to a
    cache, from which it is read unseen.
    """
    if (
        task.verified is None
        or task.cache
        or not footer.checksums.keys() >= {*task.columns.list_names()}
    ):
        return False
    return task.verified.has(item.file, item.row_group)


def _join_columns(parts: list[pa.Table]) -> pa.Table:
    """Join tables of the same rows, each of other columns, in order."""
    if len(parts) == 1:
        return parts[0]
    columns = [column for part in parts for column in part.columns]
    return pa.Table.from_arrays(columns, names=[n for part in parts for n in part.column_names])


def _build_cache_key(task: BlockTask, item: RowRange) -> str:
    """Build the cache key of a row group: it changes where the file or the columns do."""
    file = task.files[item.file]
    version = f"{file.bytes} {file.footer} {file.content}"
    return f"{task.paths[item.file]} {version} {item.row_group} {task.columns.list_names()}"


def _verify_row_group(
    task: BlockTask, item: RowRange, table: pa.Table, footer: Footer, checksums: dict[str, int]
) -> None:
    """Compare a whole row group with the checksums that the file was written with.

    Args:
        task, item: the task, and the range that is the whole row group.
        table: its columns, for the error.
        footer: the footer of its file.
        checksums: checksums of its arrays; they cost less than those of columns, and show that the
            arrays were filled right.

    Raises:
        StreamError: a value differs.
    """
    recorded = task.columns.combine_checksums(footer.checksums, item.row_group)
    if any(checksums[name] != expected for name, expected in recorded.items()):
        location = f"{task.paths[item.file]} row group {item.row_group}"
        _verify_columns(location, table, footer, item.row_group)
        raise StreamError(
            f"{location}: its values were decoded but not copied into their arrays, which is a "
            "defect of Headrace"
        )


def _verify_fingerprints(location: str, table: pa.Table, footer: Footer, index: int) -> None:
    """Compare a row group's columns with the fingerprints that the file was written with.

    Raises:
        StreamError: a column differs.
    """
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in footer.fingerprints:
            fingerprint, expected = fingerprint_column(column), footer.fingerprints[name][index]
            if fingerprint != expected:
                raise StreamError(
                    f"{location}: the values of column {name!r} have fingerprint {fingerprint}, "
                    f"they were written with {expected}; the file is damaged, restore it"
                )


def _verify_columns(location: str, table: pa.Table, footer: Footer, index: int) -> None:
    """Compare a row group's columns with the checksums that the file was written with.

    Raises:
        StreamError: a column differs.
    """
    for name in table.column_names:
        if name in footer.checksums:
            checksum, expected = sum_column(table[name]), footer.checksums[name][index]
            if checksum != expected:
                raise StreamError(
                    f"{location}: the values of column {name!r} have checksum {checksum:08x}, they "
                    f"were written with {expected:08x}; the file is damaged, restore it"
                )
