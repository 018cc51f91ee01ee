"""Plain Parquet folders: indexed once, shared by all ranks, and errors where a file changes."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import StreamError
from headrace.stream.plain_parquet import index_folder
from tests.stream.rows import list_row_ids, make_stream, write_files


def test_a_folder_streams_like_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "day=1").mkdir()
    write_files(tmp_path, [[50, 60], [31]], checksums=False)
    (tmp_path / "part-001.parquet").rename(tmp_path / "day=1" / "part-001.parquet")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".part.parquet.crc").write_bytes(b"x")
    (tmp_path / "_temporary").mkdir()
    (tmp_path / "_temporary" / "half.parquet").write_bytes(b"PAR1")
    files = index_folder(str(tmp_path))
    assert [(f.path, f.row_groups) for f in files] == [
        ("day=1/part-001.parquet", (31,)),
        ("part-000.parquet", (50, 60)),
    ]
    row_ids = [
        i for batch in make_stream(tmp_path, files).read_batches(0) for i in list_row_ids(batch)
    ]
    assert sorted(row_ids) == list(range(141))


def test_one_rank_reads_and_all_have_it(tmp_path: Path) -> None:
    write_files(tmp_path, [[20], [20]])
    sent: list[Any] = []

    def share(value: Any) -> Any:
        if value is not None:
            sent.append(value)
        return sent[0]

    first = index_folder(str(tmp_path), rank=0, share=share)
    for path in tmp_path.iterdir():
        path.unlink()  # the other ranks read nothing
    assert index_folder(str(tmp_path), rank=1, share=share) == first


def test_an_error_reaches_every_rank(tmp_path: Path) -> None:
    sent: list[Any] = []

    def share(value: Any) -> Any:
        sent.append(value)
        return sent[0]

    for rank in range(2):
        with pytest.raises(StreamError, match="has no Parquet file"):
            index_folder(str(tmp_path), rank=rank, share=share)


def test_a_file_that_changes_afterwards_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, [[20], [20]])
    files = index_folder(str(tmp_path))
    write_files(tmp_path, [[20], [20]], first=500)
    with pytest.raises(StreamError, match=r"part-00\d.*rewritten"):
        list(make_stream(tmp_path, files).read_batches(0))


def test_columns_must_be_the_same(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.0]}), tmp_path / "one.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "two.parquet")
    with pytest.raises(StreamError, match=r"'a' is double in one.parquet and int64 in two.parquet"):
        index_folder(str(tmp_path))


def test_what_is_no_parquet_or_pickled_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"this is a text of some length, and no Parquet file")
    with pytest.raises(StreamError, match=r"a.parquet cannot be read: it does not end as a"):
        index_folder(str(tmp_path))
    (tmp_path / "_common_metadata").write_bytes(b"PAR1")
    with pytest.raises(StreamError, match="would run code from the dataset"):
        index_folder(str(tmp_path))


def test_a_table_with_a_log_has_the_files_that_the_log_names(tmp_path: Path) -> None:
    from deltalake import DeltaTable, write_deltalake

    root = str(tmp_path / "delta")
    rows = pa.table({"row_id": pa.array(range(40), pa.int64()), "x": [0.5] * 40})
    write_deltalake(root, rows)
    write_deltalake(root, rows, mode="overwrite")
    (live,) = DeltaTable(root).file_uris()
    assert len([*Path(root).glob("*.parquet")]) == 2
    assert [file.path for file in index_folder(root)] == [Path(live).name]
    (tmp_path / "iceberg" / "metadata").mkdir(parents=True)
    (tmp_path / "iceberg" / "metadata" / "v1.metadata.json").write_text("{}")
    (tmp_path / "iceberg" / "data").mkdir()
    write_files(tmp_path / "iceberg" / "data", [[5]], checksums=False)
    for folder in ("iceberg", "iceberg/data"):
        with pytest.raises(StreamError, match=r"an Iceberg table"):
            index_folder(str(tmp_path / folder))
    with pytest.raises(StreamError, match=r"has files of a Delta table"):
        index_folder(str(tmp_path))


def test_a_file_that_is_no_parquet_file_by_its_name_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, [[5]], checksums=False)
    (tmp_path / "notes.txt").write_text("rows?")
    with pytest.raises(StreamError, match=r"notes.txt is no Parquet file by its name"):
        index_folder(str(tmp_path))


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    write_files(tmp_path, [[5]], checksums=False)
    with pytest.raises(StreamError, match=r"part-000.parquet is a file; name its folder"):
        index_folder(str(tmp_path / "part-000.parquet"))
