"""Rows that are written again: all kinds of columns, without source partitions, and compared."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import DamagedError, DatasetError
from headrace.lake.checked_file import read_checked_file
from headrace.lake.data_file import DataFile
from headrace.prepare.write.parquet_file import write_data_file
from headrace.prepare.write.rewrite import FileLayout, retain_files, rewrite_file
from headrace.progress import ignore_progress
from tests.lake.building import make_file

SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),
        pa.field("x", pa.float32(), nullable=False),
        pa.field("tokens", pa.list_(pa.int32()), nullable=False),
        pa.field("image", pa.binary(3), nullable=False),
        pa.field("kept_word", pa.string()),
        pa.field("kept_size", pa.float64()),
    ]
)
TRAINED_ON = ("row_id", "x", "tokens", "image")


def write_file(root: Path, number: int, ids: list[int], schema: pa.Schema = SCHEMA) -> DataFile:
    """Write a file of a source partition of its own; all values follow from the row ids."""
    rows = np.array(ids)
    columns = {
        "row_id": rows,
        "x": rows.astype(np.float32) / 2,
        "tokens": np.stack([rows, rows + 1], axis=1).astype(np.int32),
        "image": np.stack([rows, rows, rows + 7], axis=1).astype(np.uint8),
        "kept_word": pa.chunked_array([[None if i % 2 else f"w{i}" for i in ids]], pa.string()),
        "kept_size": pa.chunked_array([[float("nan") if i % 3 else None for i in ids]]).cast(
            pa.float64()
        ),
    }
    return write_data_file(
        columns, schema, trained_on=TRAINED_ON, rows_per_row_group=2, root=str(root),
        path=f"split=train/part-a-{number:05d}-0.parquet", split="train", partition=f"day={number}",
    )  # fmt: skip


@pytest.fixture
def layout(tmp_path: Path) -> FileLayout:
    return FileLayout(str(tmp_path), TRAINED_ON, rows_per_file=100, rows_per_row_group=3)


@pytest.fixture
def files(tmp_path: Path) -> list[DataFile]:
    return [write_file(tmp_path, n, ids) for n, ids in enumerate(([5, 6, 7], [1], [9, 8]))]


def test_merged_rows_are_those_of_the_files_in_order(
    tmp_path: Path, layout: FileLayout, files: list[DataFile]
) -> None:
    merged = rewrite_file(layout, "b", files)
    assert merged.path == "split=train/part-a-00000-0.rewritten-b.parquet"
    assert merged.row_groups == (3, 3)
    assert [(run.path, run.partition, run.rows) for run in merged.runs] == [
        (file.path, file.partition, file.rows) for file in files
    ]
    table = read_checked_file(str(tmp_path), merged)
    assert table["row_id"].to_pylist() == [5, 6, 7, 1, 9, 8]
    assert table["tokens"].to_pylist()[3:5] == [[1, 2], [9, 10]]
    assert table["image"].to_pylist()[0] == bytes([5, 5, 12])
    assert table["kept_word"].to_pylist() == [None, "w6", None, None, None, "w8"]
    # as if one build had written them as one file
    whole = write_file(tmp_path, 9, [5, 6, 7, 1, 9, 8])
    assert merged.content == whole.content
    assert pq.read_schema(tmp_path / merged.path).equals(pq.read_schema(tmp_path / whole.path))
    assert all((tmp_path / file.path).exists() for file in files)


def test_a_file_is_written_again_without_a_partition(
    tmp_path: Path, layout: FileLayout, files: list[DataFile]
) -> None:
    merged = rewrite_file(layout, "b", files)
    rest = rewrite_file(layout, "c", [merged], {"day=0", "day=2", "day=7"})
    assert rest.path == "split=train/part-a-00000-0.rewritten-c.parquet"
    assert [run.partition for run in rest.runs] == ["day=0", "day=2"]
    table = read_checked_file(str(tmp_path), rest)
    assert table["row_id"].to_pylist() == [5, 6, 7, 9, 8]
    again = rewrite_file(layout, "d", [rest, files[1]], {"day=1", "day=2"})
    assert read_checked_file(str(tmp_path), again)["row_id"].to_pylist() == [9, 8, 1]
    assert again.row_groups == (3,)


def test_rows_that_changed_since_are_not_given_a_good_checksum(
    tmp_path: Path, layout: FileLayout, files: list[DataFile]
) -> None:
    path = tmp_path / files[1].path
    path.write_bytes((tmp_path / write_file(tmp_path, 8, [11]).path).read_bytes())
    size = path.stat().st_size
    with pytest.raises(
        DamagedError, match=rf"{files[1].path} is damaged: it has {size:,} bytes instead of"
    ):
        rewrite_file(layout, "b", files)
    same_size = files[1].model_copy(update={"bytes": size})
    with pytest.raises(DamagedError, match="it has another footer"):
        rewrite_file(layout, "b", [files[0], same_size])
    same_footer = same_size.model_copy(update={"footer": ""})
    with pytest.raises(DamagedError, match="it has other rows, or in another order"):
        rewrite_file(layout, "b", [files[0], same_footer])
    assert not list(tmp_path.rglob("*rewritten*"))


def test_files_of_other_columns_are_not_merged(
    tmp_path: Path, layout: FileLayout, files: list[DataFile]
) -> None:
    other = write_file(tmp_path, 3, [4], pa.schema(list(SCHEMA)[:-1]))
    with pytest.raises(DatasetError, match=rf"{other.path} has other columns than {files[0].path}"):
        rewrite_file(layout, "b", [files[0], other])


def test_a_file_without_rows_goes_with_its_partition() -> None:
    runs = {"a": ("day=1", 5), "b": ("day=2", 0), "c": ("day=1", 0)}
    files = tuple(make_file(path, run) for path, run in runs.items())
    base: Any = SimpleNamespace(build=SimpleNamespace(files=files))
    kept = retain_files(base, {"day=1"}, "B", ignore_progress)
    assert [file.path for file in kept] == ["a", "c"]
