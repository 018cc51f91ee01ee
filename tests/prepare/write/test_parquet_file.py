"""A data file: exact row groups, checksums in its metadata, and what the build records of it."""

import hashlib
import json
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.prepare.write.parquet_file import to_arrow, write_data_file

SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),
        pa.field("x", pa.float32(), nullable=False),
        pa.field("kept_word", pa.string()),
    ]
)
COLUMNS = {
    "row_id": np.arange(5),
    "x": np.arange(5, dtype=np.float32) / 2,
    "kept_word": pa.chunked_array([["a", None, "b", "c", "d"]]),
}


def test_a_file_and_its_record(tmp_path: Path) -> None:
    record = write_data_file(
        COLUMNS,
        SCHEMA,
        trained_on=["row_id", "x"],
        rows_per_row_group=2,
        root=str(tmp_path),
        path="split=test/part-1.parquet",
        split="test",
        partition="day=1",
    )
    path = tmp_path / "split=test" / "part-1.parquet"
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(i).num_rows for i in range(3)] == [2, 2, 1]
    assert file.read().to_pydict() == {
        "row_id": [0, 1, 2, 3, 4],
        "x": [0.0, 0.5, 1.0, 1.5, 2.0],
        "kept_word": ["a", None, "b", "c", "d"],
    }
    assert (record.path, record.split, record.partition) == (
        "split=test/part-1.parquet", "test", "day=1",
    )  # fmt: skip
    assert (record.rows, record.row_groups) == (5, (2, 2, 1))
    assert record.bytes == path.stat().st_size
    # the digest is of the trained columns alone, in order
    content = COLUMNS["row_id"].tobytes() + COLUMNS["x"].tobytes()
    assert record.content == hashlib.sha256(content).hexdigest()
    # a column that training does not read has no checksum
    checksums = json.loads(file.schema_arrow.metadata[b"headrace.checksums"])
    assert checksums["row_id"] == [0 + 1, 2 + 3, 4]  # of 4-byte words
    assert "kept_word" not in json.dumps(checksums)
    # Parquet ends with the footer, its length and PAR1
    raw = path.read_bytes()
    length = int.from_bytes(raw[-8:-4], "little")
    assert int(record.footer, 16) == zlib.crc32(raw[-8 - length : -8])


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (np.array([1, 2], np.int32), pa.int32(), [1, 2]),
        (np.array([[1, 2], [3, 4]], np.int32), pa.list_(pa.int32()), [[1, 2], [3, 4]]),
        (np.array([[1, 2], [3, 4]], np.uint8), pa.binary(2), [b"\x01\x02", b"\x03\x04"]),
        (np.zeros((0, 3), np.float32), pa.list_(pa.float32()), []),
        (np.array([[1, 2], [3, 4]], np.int32).T, pa.list_(pa.int32()), [[1, 3], [2, 4]]),
    ],
)
def test_columns_become_arrow(
    values: np.ndarray, kind: pa.DataType, expected: list[object]
) -> None:
    array = to_arrow(values, kind)
    assert array.type == kind
    assert array.to_pylist() == expected


def test_arrow_stays_as_it_is() -> None:
    words = pa.chunked_array([["a"]])
    assert to_arrow(words, pa.string()) is words
