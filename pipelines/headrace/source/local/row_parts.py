"""Divide the files of a table into parts, and read the rows of one: what a task gets.

A part is row groups that follow each other in a file of Parquet, or a whole file of CSV.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.errors import LakeError, get_first_line
from headrace.source.late_reader import find_row_group_starts
from headrace.source.local.csv_files import CsvSettings, read_csv_file
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.local.table import LocalTable
from headrace.source.local_files import LocalFile

UNREADABLE = (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)
"""What reading a file fails with, where it is damaged or of another kind."""
_READ_ROWS = 65_536
_Batch = tuple[int, int, dict[str, pa.Array]]
"""Position of the first row in the file, number of rows, and their columns."""


@dataclass(frozen=True)
class FilePart:
    """Row groups that follow each other in a file.

    Attributes:
        number: of the file, the FILE of its rows.
        file: itself.
        begin, end: the first row group, and the one after the last; None for the file's end.
    """

    number: int
    file: LocalFile
    begin: int = 0
    end: int | None = None


@dataclass(frozen=True)
class StoredRows:
    """Rows that follow each other in a file.

    Attributes:
        first: position of the first of them in the file.
        rows: their number.
        columns: column -> values, in the type that it has in the table as it is stored.
    """

    first: int
    rows: int
    columns: dict[str, pa.Array]


def divide_files(table: LocalTable, rows: int) -> list[tuple[FilePart, ...]]:
    """Divide the files of a table into parts of about so many rows, of whole row groups."""
    divided: list[tuple[FilePart, ...]] = []
    held: list[FilePart] = []
    count = 0
    for number, file in table.files.items():
        if table.rows[number] > rows and table.csv is None:
            divided += [(part,) for part in _divide_file(number, file, rows)]
            continue
        held.append(FilePart(number, file))
        count += table.rows[number]
        if count >= rows:
            divided.append(tuple(held))
            held, count = [], 0
    return [*divided, tuple(held)] if held else divided


def _divide_file(number: int, file: LocalFile, rows: int) -> list[FilePart]:
    """Divide a file into parts of at least so many rows, but for the last."""
    meta = pq.read_metadata(file.path)
    parts, begin, count = [], 0, 0
    for group in range(meta.num_row_groups):
        count += meta.row_group(group).num_rows
        if count >= rows or group == meta.num_row_groups - 1:
            parts.append(FilePart(number, file, begin, group + 1))
            begin, count = group + 1, 0
    return parts


def read_part(
    table: str, part: FilePart, columns: Mapping[str, pa.DataType], csv: CsvSettings | None
) -> Iterator[StoredRows]:
    """Read the rows of a part, some ten thousand at once.

    Args:
        table: its name, for messages.
        part: itself.
        columns: that are read -> type in Arrow; a file may lack some of them, where they are null.
        csv: how lines are read, where files are CSV and not Parquet.

    Raises:
        LakeError: the file is gone, was changed or cannot be read.
        NeedsSparkError: Arrow does not convert a column.
    """
    read = _read_lines(part, csv) if csv is not None else _read_row_groups(part, columns)
    while True:
        try:  # what is computed of the rows fails by other names
            part.file.refuse_change(table)
            first, rows, found = next(read)
        except StopIteration:
            return
        except UNREADABLE as error:
            reason = get_first_line(error) or type(error).__name__
            raise LakeError(
                f"table {table!r}: {part.file.path} cannot be read: {reason}; restore or remove "
                "it, or, where Spark can read it, set spark.above_rows to 0"
            ) from None
        converted = {
            name: convert_column(found.get(name), kind, rows) for name, kind in columns.items()
        }
        yield StoredRows(first, rows, converted)


def _read_lines(part: FilePart, csv: CsvSettings) -> Iterator[_Batch]:
    first = 0
    for batch in read_csv_file(part.file.path, csv).to_batches(_READ_ROWS):
        yield first, batch.num_rows, _list_columns(batch)
        first += batch.num_rows


def _read_row_groups(part: FilePart, columns: Collection[str]) -> Iterator[_Batch]:
    """Yield batches of row groups, with the columns that the file has."""
    opened = pq.ParquetFile(part.file.path, pre_buffer=False, page_checksum_verification=True)
    schema, starts = opened.schema_arrow, find_row_group_starts(opened.metadata)
    names = [name for name in columns if name in schema.names]
    for name in names:
        kind = schema.field(name).type
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            raise NeedsSparkError(f"column {name} has times in nanoseconds")
    end = len(starts) - 1 if part.end is None else part.end
    first, last = int(starts[part.begin]), int(starts[end])
    if not names or first == last:  # pyarrow fails where there is no row group (arrow #45009)
        for begin in range(first, last, _READ_ROWS):
            yield begin, min(_READ_ROWS, last - begin), {}
        return
    for batch in opened.iter_batches(
        _READ_ROWS, row_groups=range(part.begin, end), columns=names, use_threads=False
    ):
        yield first, batch.num_rows, _list_columns(batch)
        first += batch.num_rows


def _list_columns(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def convert_column(column: pa.Array | None, kind: pa.DataType, rows: int) -> pa.Array:
    """Return a column of a file in the type that it has in the table; nulls where it has none.

    Raises:
        NeedsSparkError: Arrow does not convert it.
    """
    if column is None:
        return pa.nulls(rows, kind)
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.type == kind:
        return column
    try:
        return pc.cast(column, options=pc.CastOptions(kind, allow_invalid_utf8=True))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise NeedsSparkError(f"a column of {column.type} is read as {kind}") from None
