"""Checksums of data files: of values, which a reader compares as it decodes, and of the footer.

A file's footer has the checksum of every column of every row group; the index has the footer's. The
sum of words does not depend on their order, so that it can be followed to the batches. It finds
what damage and mistakes do, not what malice does.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CHECKSUMS = "headrace.checksums"
"""In a data file's metadata: JSON, column -> `column_sum` of each row group."""
WRAP = 2**32
_TAIL = 8  # the footer's length and b"PAR1"


def word_sum(values: np.ndarray, *, in_bytes: bool = False) -> int:
    """The sum of all 4-byte words, or bytes, modulo 2**32: it does not depend on their order.

    It costs some 5% of what decoding does; a wrong row goes unnoticed once in 4 billion times.

    Args:
        values: of any shape; contiguous in the last axis, which is whole words if not `in_bytes`.
    """
    if in_bytes:
        return int(values.sum(dtype=np.uint64)) % WRAP
    return int(np.add.reduce(values.view(np.uint32), axis=None, dtype=np.uint32))


def column_sum(column: pa.ChunkedArray) -> int:
    """The sum of all 4-byte words of a column's values, modulo 2**32; nulls are what lies there.

    Of fixed-size binary columns whose width is no multiple of 4 the sum of bytes.
    """
    total = 0
    for chunk in column.chunks:
        values = chunk.flatten() if pa.types.is_list(chunk.type) else chunk
        if not len(values):
            continue
        width = values.type.bit_width // 8
        data = np.frombuffer(values.buffers()[1], np.uint8)
        data = data[values.offset * width : (values.offset + len(values)) * width]
        total += word_sum(data, in_bytes=bool(width % 4))
    return total % WRAP


def checksums_of(table: pa.Table, row_groups: Sequence[int]) -> str:
    """What goes into a file's metadata under `CHECKSUMS`.

    Args:
        table: all rows of the file, fixed-width values or lists of them.
        row_groups: rows of each.
    """
    ends = np.cumsum(row_groups).tolist()
    parts = [table.slice(end - rows, rows) for rows, end in zip(row_groups, ends, strict=True)]
    names = table.column_names
    return json.dumps({name: [column_sum(part[name]) for part in parts] for name in names})


def noted_checksums(meta: Any) -> dict[str, list[int]]:
    """The checksums in a file's metadata; empty where there are none."""
    metadata: Mapping[bytes, bytes] = meta.metadata or {}
    noted = metadata.get(CHECKSUMS.encode())
    return json.loads(noted) if noted else {}


def footer_bytes(source: Any) -> bytes:
    """The footer of an open Parquet file.

    Raises:
        pyarrow.ArrowInvalid: it is none.
    """
    source.seek(0, 2)
    size = source.tell()
    source.seek(max(0, size - _TAIL))
    tail = source.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or length + _TAIL > size:
        raise pa.ArrowInvalid("it does not end as a Parquet file does")
    source.seek(size - _TAIL - length)
    return bytes(source.read(length))


def parsed_footer(text: bytes) -> pq.ParquetFile:
    """A footer alone as a Parquet file without rows: its metadata and schema can be read."""
    return pq.ParquetFile(
        pa.BufferReader(b"PAR1" + text + len(text).to_bytes(4, "little") + b"PAR1")
    )


def footer_checksum(text: bytes) -> str:
    """CRC-32 of a footer, hexadecimal."""
    return f"{zlib.crc32(text):08x}"
