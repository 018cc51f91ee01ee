"""Read late columns from a table's Parquet files, for rows that come in the order of their files.

One row group is read after the other, once, by the task that has its rows; which columns are late
is decided in `late_materialization.py`.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import LakeError, get_first_line
from headrace.lake.file_columns import describe_type
from headrace.source.dictionaries import concat_tables, estimate_decoded_bytes
from headrace.source.internal_columns import FILE, POSITION
from headrace.source.late_materialization import LATE_TYPES, LateColumns
from headrace.work_note import note_work

_UNREADABLE = (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)
# A read takes this many rows, or fewer where they are large (images).
_READ_ROWS, _READ_BYTES = 65_536, 64 * 2**20
# The first read of a task takes few rows: how large they are once decoded is not known before.
_FIRST_ROWS = 4096
# Texts are read as dictionaries where a file's dictionary takes no more bytes for each row of a
# read than this (compressed; writers limit it to 1 MiB): every batch comes with a copy of it.
_DICTIONARY_BYTES = 16
_DICTIONARY = pa.dictionary(pa.int32(), pa.string())


class LateReader:
    """Completes rows that come in the order of their files; used by one task.

    Attributes:
        rows_read: rows of which the columns were read, needed or not.
    """

    def __init__(self, late: LateColumns) -> None:
        self.rows_read = 0
        self._late = late
        self._file: int | None = None
        self._open: Any = None
        self._stored: dict[str, str] = {}  # column -> its name in the open file
        self._starts = np.zeros(0, np.int64)
        self._group = -1
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._batch: pa.RecordBatch | None = None
        self._begin = 0
        self._row_bytes = 0.0  # of decoded rows, the largest mean of a read so far

    def add_late_columns(self, rows: pa.Table) -> pa.Table:
        """Add the late columns to rows.

        Args:
            rows: with FILE, and POSITION rising within a file.

        Returns:
            the rows without POSITION, and with the late columns at the end.

        Raises:
            LakeError: a file is gone, cannot be read, or has another type of column.
        """
        file, position = rows[FILE].to_numpy(), rows[POSITION].to_numpy()
        parts = []
        bounds = np.flatnonzero(file[1:] != file[:-1]) + 1
        for begin, end in zip([0, *bounds], [*bounds, len(file)], strict=True):
            if end > begin:
                self._open_file(int(file[begin]))
                parts += self._take_rows(position[begin:end])
        rows = rows.drop_columns([POSITION])
        if not parts:
            return _add_empty_columns(rows, self._late)
        return _join_columns(rows, concat_tables([pa.Table.from_batches([part]) for part in parts]))

    def _open_file(self, file: int) -> None:
        import pyarrow.parquet as pq

        if file == self._file:
            return
        if file not in self._late.files:
            raise LakeError(
                f"table {self._late.table!r}: a file appeared while the table was read; run the "
                "command again"
            )
        source = self._late.files[file]
        path = source.path
        try:
            note_work(path)
            source.refuse_change(self._late.table)
            plain = pq.ParquetFile(path, pre_buffer=False)
            schema = plain.schema_arrow
            self._stored = self._late.find_stored_names(schema.names)
            dictionaries = self._choose_dictionary_columns(plain.metadata, schema)
            self._open = pq.ParquetFile(
                path,
                pre_buffer=False,
                metadata=plain.metadata,
                read_dictionary=dictionaries,
                page_checksum_verification=True,
            )
            plain.close()
        except _UNREADABLE as error:
            raise self._describe_unreadable(path, error) from None
        meta = self._open.metadata
        self._starts = find_row_group_starts(meta)
        self._file, self._group, self._batch = file, -1, None
        _check_types(schema, path, self._late)

    def _choose_dictionary_columns(self, meta: Any, schema: pa.Schema) -> list[str]:
        """Choose the text columns of a file that are read as dictionaries, which must be small."""
        texts = [name for n, name in self._stored.items() if self._late.columns[n] == "string"]
        chosen = {name for name in texts if schema.field(name).type == pa.string()}
        for group in range(meta.num_row_groups if chosen else 0):
            row_group = meta.row_group(group)
            chunks = [row_group.column(i) for i in range(row_group.num_columns)]
            row_bytes = sum(c.total_uncompressed_size for c in chunks) / max(row_group.num_rows, 1)
            rows = min(row_group.num_rows, _READ_ROWS, int(_READ_BYTES / max(row_bytes, 1)))
            for chunk in chunks:
                if chunk.path_in_schema in chosen:
                    size = chunk.data_page_offset - (chunk.dictionary_page_offset or 0)
                    if not chunk.has_dictionary_page or size > _DICTIONARY_BYTES * rows:
                        chosen.remove(chunk.path_in_schema)
        return sorted(chosen)

    def _take_rows(self, position: np.ndarray) -> list[pa.RecordBatch]:
        """Take the late columns of rows at these rising positions of the open file."""
        parts, done = [], 0
        if not (np.diff(position) > 0).all():
            raise LakeError(
                f"table {self._late.table!r}: rows are not in their files' order; set "
                f"source.tables.{self._late.table}.read_with to spark"
            )
        while done < len(position):
            batch = self._read_until(int(position[done]))
            end = int(np.searchsorted(position, self._begin + batch.num_rows))
            inside = position[done:end] - self._begin
            # A slice keeps the whole batch in memory, so a short run is copied.
            dense = inside[-1] - inside[0] + 1 == len(inside)
            if dense and (2 * len(inside) >= batch.num_rows or len(inside) == len(position)):
                parts.append(batch.slice(int(inside[0]), len(inside)))
            else:
                parts.append(batch.take(pa.array(inside)))
            done = end
        return parts

    def _read_until(self, position: int) -> pa.RecordBatch:
        """Read on until the batch that has this position of the open file, and return it."""
        group = int(np.searchsorted(self._starts, position, side="right")) - 1
        if group != self._group or position < self._begin:
            columns = list(self._stored.values())
            self._batches = self._open.iter_batches(
                self._choose_read_rows(group, columns),
                row_groups=[group],
                columns=columns,
                use_threads=False,
            )
            self._group, self._begin, self._batch = group, int(self._starts[group]), None
        while self._batch is None or position >= self._begin + self._batch.num_rows:
            self._begin += self._batch.num_rows if self._batch is not None else 0
            self._batch = self._read_batch()
        return self._batch

    def _choose_read_rows(self, group: int, columns: list[str]) -> int:
        """Choose how many rows a read takes, by the size of the columns and of rows so far."""
        meta, names = self._open.metadata.row_group(group), set(columns)
        chunks = (meta.column(i) for i in range(meta.num_columns))
        size = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema in names)
        row_bytes = max(size / max(meta.num_rows, 1), self._row_bytes)
        most = _READ_ROWS if self._row_bytes else _FIRST_ROWS
        return int(np.clip(_READ_BYTES / max(row_bytes, 1), 16, most))

    def _read_batch(self) -> pa.RecordBatch:
        path = self._late.files[self._file or 0].path
        try:
            batch = next(self._batches)
            self.rows_read += batch.num_rows
            read = dict(zip(batch.schema.names, batch.columns, strict=True))
            decoded = pa.RecordBatch.from_arrays(
                [
                    self._convert_column(
                        read[self._stored[name]] if name in self._stored else None,
                        name,
                        batch.num_rows,
                    )
                    for name in self._late.columns
                ],
                names=list(self._late.columns),
            )
            size = estimate_decoded_bytes(pa.Table.from_batches([decoded]))
            self._row_bytes = max(self._row_bytes, size / max(batch.num_rows, 1))
            return decoded
        except StopIteration:
            raise self._describe_unreadable(
                path, ValueError("it has fewer rows than its footer says")
            ) from None
        except _UNREADABLE as error:
            raise self._describe_unreadable(path, error) from None

    def _convert_column(self, column: pa.Array | None, name: str, rows: int) -> pa.Array:
        """Return a column as the table has it; nulls where it is None, as a file lacks it."""
        kind, _ = LATE_TYPES[self._late.columns[name]]
        if column is None:
            return pa.nulls(rows, kind)
        if column.type == _DICTIONARY:
            return column
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if isinstance(column, pa.ExtensionArray):
            column = column.storage
        if column.type == kind:
            return column
        # Texts are looked at with all others, see `invalid_texts.py`.
        return pc.cast(column, options=pc.CastOptions(kind, allow_invalid_utf8=True))

    def _describe_unreadable(self, path: str, error: Exception) -> LakeError:
        reason = get_first_line(error) or type(error).__name__
        return LakeError(
            f"table {self._late.table!r}: {path} cannot be read (columns "
            f"{', '.join(list(self._late.columns)[:5])}, …): {reason}; restore or remove it, or, "
            f"where Spark can read it, set source.tables.{self._late.table}.read_with to spark"
        )


def find_row_group_starts(meta: Any) -> np.ndarray:
    """Return the position of every row group's first row, and the number of rows at the end.

    Args:
        meta: the file's `pyarrow.parquet.FileMetaData`.
    """
    sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    return np.concatenate([[0], np.cumsum(sizes)])


def _check_types(schema: pa.Schema, path: str, late: LateColumns) -> None:
    """Check the types of a file's columns: it may lack a column, but not hold another type of it.

    Raises:
        LakeError: a column has another type than in the table, or there are two of its name.
    """
    for name, stored in late.find_stored_names(schema.names).items():
        sql, indices = late.columns[name], schema.get_all_field_indices(stored)
        if len(indices) > 1:
            raise LakeError(
                f"table {late.table!r}: {path} has {len(indices)} columns named {name!r}, "
                "expected one; rewrite the file"
            )
        kind = schema.field(indices[0]).type
        if describe_type(kind) not in LATE_TYPES[sql][1]:
            raise LakeError(
                f"table {late.table!r}: column {name!r} is {kind} in "
                f"{PurePosixPath(path).name} ({path}) and {sql} in the table; rewrite the file, "
                f"or, where Spark can read it, set source.tables.{late.table}.read_with to spark"
            )


def _add_empty_columns(rows: pa.Table, late: LateColumns) -> pa.Table:
    types = {name: LATE_TYPES[sql][0] for name, sql in late.columns.items()}
    empty = [pa.array([], kind) for kind in types.values()]
    return _join_columns(rows, pa.Table.from_arrays(empty, names=list(types)))


def _join_columns(left: pa.Table, right: pa.Table) -> pa.Table:
    """Return two tables beside each other: to append one column copies the list of all."""
    schema = pa.schema([*left.schema, *right.schema], metadata=left.schema.metadata)
    return pa.Table.from_arrays([*left.columns, *right.columns], schema=schema)
