"""What a task reads of a table's files."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.source.local import row_parts
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.local.row_parts import FilePart, convert_column, read_part
from headrace.source.local_files import LocalFile

COLUMNS = {"a": pa.int64(), "gone": pa.string()}


def write(path: Path, rows: int, **options: Any) -> LocalFile:
    table = pa.table({"a": pa.array(range(rows), pa.int32()), "t": ["x"] * rows})
    pq.write_table(table, path, **options)
    return LocalFile.from_path(path)


def read(part: FilePart, columns: dict[str, pa.DataType]) -> list[tuple[int, int, Any]]:
    return [
        (rows.first, rows.rows, {n: c.to_pylist() for n, c in rows.columns.items()})
        for rows in read_part("t", part, columns, None)
    ]


def test_row_groups_of_a_file(tmp_path: Path) -> None:
    file = write(tmp_path / "f.parquet", 5, row_group_size=2)
    nulls = [None, None]
    assert read(FilePart(0, file, 1, 2), COLUMNS) == [(2, 2, {"a": [2, 3], "gone": nulls})]
    assert read(FilePart(0, file), COLUMNS)[0][0] == 0
    assert sum(rows for _, rows, _ in read(FilePart(0, file), COLUMNS)) == 5


def test_rows_without_a_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_parts, "_READ_ROWS", 2)
    file = write(tmp_path / "f.parquet", 5, row_group_size=4)
    assert read(FilePart(0, file), {}) == [(0, 2, {}), (2, 2, {}), (4, 1, {})]
    assert read(FilePart(0, file, 1, 2), {}) == [(4, 1, {})]
    gone = {"gone": pa.string()}
    assert read(FilePart(0, file, 1, 2), gone) == [(4, 1, {"gone": [None]})]


def test_files_without_rows(tmp_path: Path) -> None:
    """One with an empty row group, one without any, on which pyarrow's `iter_batches` fails."""
    assert sum(rows for _, rows, _ in read(FilePart(0, write(tmp_path / "e", 0)), COLUMNS)) == 0
    path = tmp_path / "f.parquet"
    pq.ParquetWriter(path, pa.schema({"a": pa.int64()})).close()
    assert pq.read_metadata(path).num_row_groups == 0
    assert read(FilePart(0, LocalFile.from_path(path)), COLUMNS) == []
    assert read(FilePart(0, LocalFile.from_path(path)), {}) == []


def test_files_that_are_damaged_or_changed(tmp_path: Path) -> None:
    file = write(tmp_path / "f.parquet", 5)
    (tmp_path / "f.parquet").write_bytes(b"0" * file.bytes)
    with pytest.raises(LakeError, match=r"changed while it was read|cannot be read"):
        read(FilePart(0, file), COLUMNS)
    damaged = LocalFile.from_path(tmp_path / "f.parquet")
    with pytest.raises(LakeError, match=r"f\.parquet cannot be read: .*spark.above_rows to 0"):
        read(FilePart(0, damaged), COLUMNS)


def test_times_in_nanoseconds_are_left_to_spark(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array([1], pa.timestamp("ns"))})
    pq.write_table(table, tmp_path / "f.parquet", version="2.6")
    part = FilePart(0, LocalFile.from_path(tmp_path / "f.parquet"))
    with pytest.raises(NeedsSparkError, match="nanoseconds"):
        read(part, {"a": pa.timestamp("us")})


def test_columns_are_converted() -> None:
    encoded = pa.array(["a", "b", "a"]).dictionary_encode()
    assert convert_column(encoded, pa.string(), 3).to_pylist() == ["a", "b", "a"]
    assert convert_column(None, pa.int64(), 2).to_pylist() == [None, None]
    with pytest.raises(NeedsSparkError, match="read as int64"):
        convert_column(pa.array(["x"]), pa.int64(), 1)
