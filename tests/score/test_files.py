"""Files of predictions: one source partition each, in row groups and files of equal size."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.lake.score_record import PredictionFile
from headrace.score import files
from headrace.score.files import PredictionLayout, PredictionWriter


def make_writer(root: Path, rows_per_file: int = 100) -> PredictionWriter:
    layout = PredictionLayout(
        root=str(root),
        build_id="B",
        names=("day=1", "day=2", ""),
        values=({"day": "1"}, {"day": "2"}, {}),
        folders=("day=1", "day=2", ""),
        schema=pa.schema({"n": pa.int64()}),
        rows_per_file=rows_per_file,
    )
    return PredictionWriter(layout, "00004-7")


def add(writer: PredictionWriter, numbers: list[int], partition: list[int]) -> None:
    writer.add_rows(pa.table({"n": numbers}), np.array(partition, np.int32))


def read(root: Path, written: list[PredictionFile]) -> list[list[int]]:
    return [pq.ParquetFile(root / file.path).read()["n"].to_pylist() for file in written]


def test_rows_are_sorted_by_source_partition(tmp_path: Path) -> None:
    writer = make_writer(tmp_path)
    add(writer, [1, 2, 3], [1, 0, 1])
    add(writer, [4, 5], [2, 0])
    written = writer.close()
    assert [(f.path, f.partition, f.values, f.rows) for f in written] == [
        ("day=1/part-B-00004-7-0000.parquet", "day=1", {"day": "1"}, 2),
        ("day=2/part-B-00004-7-0001.parquet", "day=2", {"day": "2"}, 2),
        ("part-B-00004-7-0002.parquet", "", {}, 1),
    ]
    assert read(tmp_path, written) == [[2, 5], [1, 3], [4]]
    assert [f.bytes for f in written] == [(tmp_path / f.path).stat().st_size for f in written]


def test_no_rows_are_no_files(tmp_path: Path) -> None:
    writer = make_writer(tmp_path)
    add(writer, [], [])
    assert writer.close() == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_ends_with_the_row_group_that_makes_it_large_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_ROW_GROUP", 3)
    writer = make_writer(tmp_path, rows_per_file=5)
    for number in range(8):
        add(writer, [number], [0])
    written = writer.close()
    assert read(tmp_path, written) == [[0, 1, 2, 3, 4, 5], [6, 7]]
    meta = pq.ParquetFile(tmp_path / written[0].path).metadata
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [3, 3]


def test_the_partition_with_most_rows_is_written_where_too_many_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_HELD_ROWS", 4)
    writer = make_writer(tmp_path, rows_per_file=2)
    add(writer, [1, 2, 3], [0, 1, 1])
    assert list(tmp_path.rglob("*.parquet")) == []
    add(writer, [4, 5], [0, 1])
    assert [p.parent.name for p in tmp_path.rglob("*.parquet")] == ["day=2"]
    assert read(tmp_path, writer.close()) == [[2, 3, 5], [1, 4]]
