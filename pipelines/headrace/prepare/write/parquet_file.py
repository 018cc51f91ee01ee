"""Write one data file: columns as Parquet in exact row groups, with checksums for the readers.

The file is made in memory and written at once: stores take objects, not thousands of small writes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake.checksums import (
    compute_checksums,
    compute_footer_checksum,
    hash_rows,
    read_footer_bytes,
)
from headrace.lake.data_file import DataFile
from headrace.lake.storage import write_object

Columns = dict[str, Any]
"""NumPy arrays by name, and Arrow's of columns that are published as they were read."""


def write_data_file(
    columns: Columns,
    schema: pa.Schema,
    *,
    trained_on: Sequence[str],
    rows_per_row_group: int,
    root: str,
    path: str,
    split: str,
    partition: str,
) -> DataFile:
    """Write a data file and return what the build records of it.

    Args:
        columns: by name, of shape (rows,) or (rows, length).
        schema: of the file.
        trained_on: columns of the digest and of the checksums.
        rows_per_row_group: rows of every row group but the last.
        root: the dataset's folder or URL.
        path: of the file, relative to the root.
        split: whose rows they are.
        partition: source partition that the rows are from.

    Raises:
        UnreachableError: the store refused, or did not answer.
    """
    arrays = [to_arrow(columns[field.name], field.type) for field in schema]
    table = pa.Table.from_arrays(arrays, schema=schema)
    buffer, row_groups = format_table(table, trained_on, rows_per_row_group)
    write_object(root, path, buffer)
    return DataFile(
        path=path,
        split=split,  # type: ignore[arg-type]
        bytes=buffer.size,
        row_groups=row_groups,
        content=hash_rows(table, trained_on),
        footer=compute_footer_checksum(read_footer_bytes(pa.BufferReader(buffer))),
        partition=partition,
    )


def format_table(
    table: pa.Table, trained_on: Sequence[str], rows_per_row_group: int
) -> tuple[pa.Buffer, tuple[int, ...]]:
    """Return the bytes of a data file, and the rows of its row groups.

    Args:
        table: all rows of the file.
        trained_on, rows_per_row_group: see `write_data_file`.
    """
    schema = table.schema
    # Ids and raw values repeat and compress as dictionaries; floats of a transform hardly do.
    repeating = [f.name for f in schema if f.type == pa.int32() or f.nullable]
    begins = range(0, table.num_rows, rows_per_row_group)
    parts = [table.slice(begin, rows_per_row_group) for begin in begins]
    row_groups = [part.num_rows for part in parts]
    metadata = compute_checksums(table.select(list(trained_on)), row_groups)
    sink = pa.BufferOutputStream()
    stored = schema.with_metadata(metadata)
    with pq.ParquetWriter(
        sink, stored, use_dictionary=repeating, write_page_checksum=True
    ) as writer:
        for part in parts:
            writer.write_table(part, row_group_size=part.num_rows)
    return sink.getvalue(), tuple(row_groups)


def to_arrow(
    values: "np.ndarray | pa.ChunkedArray", kind: pa.DataType
) -> "pa.Array | pa.ChunkedArray":
    """Return a column as Arrow has it.

    Args:
        values: NumPy's of shape (rows,) or (rows, length); what is Arrow's already stays.
        kind: a number's type for one value per row; a list or fixed-size binary for several.
    """
    if isinstance(values, pa.ChunkedArray):
        return values
    if values.ndim == 1:
        return pa.array(values, kind)
    flat = np.ascontiguousarray(values).reshape(-1)
    if pa.types.is_fixed_size_binary(kind):
        return pa.FixedSizeBinaryArray.from_buffers(kind, len(values), [None, pa.py_buffer(flat)])
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat))
