"""Compute the checksums of data files: of column values and of the Parquet footer.

A file's footer has two of every column of every row group; the row-group index has the footer's
own. The sum of words does not depend on their order, so that it can be followed to the batches; the
fingerprint does, and finds what a sum lets through: values that changed places, and changes that
add up to nothing. They detect damage and mistakes, not malice. Comparing is left to `stream/`.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import farmhash
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CHECKSUMS = "headrace.checksums"
"""Key in a data file's metadata, of JSON: column -> `sum_column` of each row group."""
FINGERPRINTS = "headrace.fingerprints"
"""Key in a data file's metadata, of JSON: column -> `fingerprint_column` of each row group; files
of earlier releases have none."""
CHECKSUM_MODULUS = 2**32
# FarmHash holds the interpreter's lock: at some 20 GB/s for less than 0.1 ms.
_PIECE_BYTES = 2**20
_TAIL_BYTES = 8  # the footer's length and b"PAR1"


def sum_words(values: np.ndarray, *, in_bytes: bool = False) -> int:
    """Sum all 4-byte words, or bytes, modulo 2**32, which does not depend on their order.

    It costs some 5% of what decoding does; a wrong row goes unnoticed once in 4 billion times.

    Args:
        values: any shape and dtype; contiguous in the last axis, which must be whole words unless
            `in_bytes`.
        in_bytes: sum bytes instead of words.
    """
    if in_bytes:
        return int(values.sum(dtype=np.uint64)) % CHECKSUM_MODULUS
    return int(np.add.reduce(values.view(np.uint32), axis=None, dtype=np.uint32))


def sum_column(column: pa.ChunkedArray) -> int:
    """Sum all 4-byte words of a column's values, modulo 2**32; nulls count as their buffer's bytes.

    Of fixed-size binary columns whose width is no multiple of 4, sum the bytes.
    """
    total = 0
    for buffer, width in _list_buffers(column):
        total += sum_words(buffer, in_bytes=bool(width % 4))
    return total % CHECKSUM_MODULUS


def fingerprint_column(column: pa.ChunkedArray) -> str:
    """Return a fingerprint of a column's values in their order, 64 bits in hexadecimal.

    It is FarmHash's `Fingerprint64` of the bytes, and of more than 1 MiB that of the fingerprints
    of each MiB (8 bytes each, little-endian): 32 ns for 784 bytes, where CRC-32 takes 110 to 210.
    Chunks do not matter; nulls count as their buffer's bytes.
    """
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    values = values.flatten() if pa.types.is_list(values.type) else values
    width = values.type.bit_width // 8
    if not len(values):
        return f"{farmhash.fingerprint64(b''):016x}"
    content = values.buffers()[1].slice(values.offset * width, len(values) * width)
    pieces = [
        farmhash.fingerprint64(content.slice(at, min(_PIECE_BYTES, content.size - at)))
        for at in range(0, content.size, _PIECE_BYTES)
    ]
    if len(pieces) > 1:
        pieces = [farmhash.fingerprint64(np.array(pieces, "<u8").tobytes())]
    return f"{pieces[0]:016x}"


def hash_rows(table: pa.Table, columns: Sequence[str]) -> str:
    """Return the SHA-256 of the values of columns, one column after the other, hexadecimal: what a
    data file's `content` is."""
    digest = hashlib.sha256()
    for name in columns:
        for buffer, _ in _list_buffers(table[name]):
            digest.update(buffer.data)
    return digest.hexdigest()


def _list_buffers(column: pa.ChunkedArray) -> list[tuple[np.ndarray, int]]:
    """Return the bytes of each chunk's values, and the bytes of a value."""
    buffers = []
    for chunk in column.chunks:
        values = chunk.flatten() if pa.types.is_list(chunk.type) else chunk
        if not len(values):
            continue
        width = values.type.bit_width // 8
        buffer = np.frombuffer(values.buffers()[1], np.uint8)
        begin, end = values.offset * width, (values.offset + len(values)) * width
        buffers.append((buffer[begin:end], width))
    return buffers


def compute_checksums(table: pa.Table, row_groups: Sequence[int]) -> dict[str, str]:
    """Compute what goes into a file's metadata: JSON under `CHECKSUMS` and under `FINGERPRINTS`.

    Args:
        table: all rows of the file; fixed-width values, or lists of them.
        row_groups: rows of each row group, in file order.
    """
    ends = np.cumsum(row_groups).tolist()
    slices = [table.slice(end - rows, rows) for rows, end in zip(row_groups, ends, strict=True)]
    names = table.column_names
    return {
        CHECKSUMS: json.dumps(
            {name: [sum_column(rows[name]) for rows in slices] for name in names}
        ),
        FINGERPRINTS: json.dumps(
            {name: [fingerprint_column(rows[name]) for rows in slices] for name in names}
        ),
    }


def read_checksums(footer: Any) -> dict[str, list[int]]:
    """Read the checksums from a file's `pyarrow.parquet.FileMetaData`; empty where it has none."""
    checksums: dict[str, list[int]] = _read_json(footer, CHECKSUMS)
    return checksums


def read_fingerprints(footer: Any) -> dict[str, list[str]]:
    """Read the fingerprints, as `read_checksums` does; empty where the file has none."""
    fingerprints: dict[str, list[str]] = _read_json(footer, FINGERPRINTS)
    return fingerprints


def _read_json(footer: Any, key: str) -> dict[str, Any]:
    metadata: Mapping[bytes, bytes] = footer.metadata or {}
    text = metadata.get(key.encode())
    return json.loads(text) if text else {}


def read_footer_bytes(source: Any) -> bytes:
    """Read the footer of an open Parquet file, without the length and magic bytes after it.

    Raises:
        pyarrow.ArrowInvalid: the file does not end like a Parquet file.
    """
    source.seek(0, 2)
    size = source.tell()
    source.seek(max(0, size - _TAIL_BYTES))
    tail = source.read(_TAIL_BYTES)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or length + _TAIL_BYTES > size:
        raise pa.ArrowInvalid("it does not end as a Parquet file does")
    source.seek(size - _TAIL_BYTES - length)
    return bytes(source.read(length))


def parse_footer(footer: bytes) -> pq.ParquetFile:
    """Open a footer alone as a Parquet file without rows, to read its metadata and schema."""
    return pq.ParquetFile(
        pa.BufferReader(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    )


def compute_footer_checksum(footer: bytes) -> str:
    """Return the CRC-32 of a footer, hexadecimal."""
    return f"{zlib.crc32(footer):08x}"
