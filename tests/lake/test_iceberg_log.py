"""The files of an Iceberg table, by its own metadata; tables that files alone do not tell."""

import datetime
import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from pyiceberg.table import Table
from pyiceberg.types import LongType, StringType

from headrace.errors import LakeError
from headrace.lake.iceberg_log import read_iceberg_log
from headrace.lake.logged_files import TableLog, UnreadFeatureError
from headrace.lake.snapshot import Snapshot, trace_files
from tests.lake.iceberg_tables import create_table, get_metadata, rewrite_table, write_hint

LOCAL = LocalFileSystem()


def rows_of(start: int, count: int = 10, day: str = "2026-01-01") -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(start, start + count), pa.int64()),
            "day": pa.array([datetime.date.fromisoformat(day)] * count),
        }
    )


def read_log(table: Table, folder: Path, **options: Any) -> TableLog:
    options = {"metadata": get_metadata(table)} | options
    return read_iceberg_log(LOCAL, str(folder), str(folder), **options)


def ids_of(log: TableLog) -> list[int]:
    found = [pq.ParquetFile(f.file.path).read(["id"])["id"].to_pylist() for f in log.files]
    return sorted(number for ids in found for number in ids)


def test_files_of_earlier_snapshots_are_not_among_those_of_the_table(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    table = create_table(folder, rows_of(0), by=("day",))
    for start, day in ((0, "2026-01-01"), (10, "2026-01-01"), (20, "2026-01-02")):
        table.append(rows_of(start, day=day))
    table.delete("id >= 15 and id < 25")
    log = read_log(table, folder)
    assert (
        ids_of(log)
        == [*range(15), *range(25, 30)]
        == sorted(table.scan().to_arrow()["id"].to_pylist())
    )
    assert log.partition_columns == ("day",)
    assert {file.values["day"] for file in log.files} == {"2026-01-01", "2026-01-02"}
    assert all((folder / file.name).exists() for file in log.files)
    assert log.snapshot == Snapshot(
        table_id=str(table.metadata.table_uuid), version=table.current_snapshot().snapshot_id
    )
    assert '"long"' in log.schema and '"date"' in log.schema


def test_which_metadata_is_current(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    table = create_table(folder, rows_of(0))
    for start in (0, 10):
        table.append(rows_of(start))
    name = get_metadata(table)
    with pytest.raises(
        LakeError, match=rf"only its catalog knows .*\.….metadata.*{name} may be it"
    ):
        read_log(table, folder, metadata=None)
    for given in (name, f"{folder}/metadata/{name}", f"file://{folder}/metadata/{name}"):
        assert len(ids_of(read_log(table, folder, metadata=given))) == 20
    earlier = sorted(path.name for path in (folder / "metadata").glob("*.metadata.json"))[-2]
    assert len(ids_of(read_log(table, folder, metadata=earlier))) == 10
    write_hint(table)
    assert len(ids_of(read_log(table, folder, metadata=None))) == 20
    (folder / "metadata" / "version-hint.text").write_text("7")
    with pytest.raises(
        LakeError, match=r"version-hint.text says '7', and there is no such metadata"
    ):
        read_log(table, folder, metadata=None)
    with pytest.raises(LakeError, match=r"nothing.metadata.json"):
        read_log(table, folder, metadata="nothing.metadata.json")
    (folder / "metadata" / "broken.metadata.json").write_text("{}")
    with pytest.raises(LakeError, match=r"metadata cannot be read \(.*broken.metadata.json\)"):
        read_log(table, folder, metadata="broken.metadata.json")


def test_the_newest_metadata_is_that_of_the_largest_number(tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    for number in (8, 9, 10):
        (tmp_path / "metadata" / f"v{number}.metadata.json").touch()
    with pytest.raises(LakeError, match=r"\(v10\.metadata\.json may be it\)"):
        read_iceberg_log(LOCAL, str(tmp_path), str(tmp_path))


def test_a_table_that_is_partitioned_otherwise_since(tmp_path: Path) -> None:
    """Columns by which only some files are partitioned are read from the files."""
    folder = tmp_path / "t"
    table = create_table(folder, rows_of(0), by=("day",))
    table.append(rows_of(0))
    with table.update_spec() as spec:
        spec.add_identity("id")
    table.append(rows_of(10, 3))
    log = read_log(table, folder)
    assert log.partition_columns == ("day",)
    assert ids_of(log) == [*range(13)]
    assert {file.values.get("id") for file in log.files} == {None, "10", "11", "12"}
    with table.update_spec() as spec:
        spec.remove_field("day")
    table.append(rows_of(20, 1))
    log = read_log(table, folder)
    assert log.partition_columns == ()
    assert ids_of(log) == [*range(13), 20]


def test_earlier_snapshots_and_times(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    table = create_table(folder, rows_of(0))
    with pytest.raises(LakeError, match="with no snapshot: it has no rows"):
        read_log(table, folder)
    for start in (0, 10):
        table.append(rows_of(start))
        time.sleep(0.01)
    first, second = table.snapshots()
    assert len(ids_of(read_log(table, folder, as_of=first.snapshot_id))) == 10
    for snapshot, rows in ((first, 10), (second, 20)):
        at = datetime.datetime.fromtimestamp(snapshot.timestamp_ms / 1000, datetime.UTC)
        assert len(ids_of(read_log(table, folder, as_of=at.isoformat()))) == rows
    with pytest.raises(LakeError, match=f"no snapshot 7; the newest are .*{second.snapshot_id}"):
        read_log(table, folder, as_of=7)
    with pytest.raises(LakeError, match="no snapshot at 1999-01-01"):
        read_log(table, folder, as_of="1999-01-01")


def test_commits_tell_which_rows_are_new_and_which_were_only_moved(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    table = create_table(folder, rows_of(0), by=("day",))
    for start, day in ((0, "2026-01-01"), (10, "2026-01-01"), (20, "2026-01-02")):
        table.append(rows_of(start, day=day))

    def trace(before: TableLog) -> dict[str, set[int]]:
        log = read_log(table, folder, since=before.snapshot)
        paths = {file.name: file.file.path for file in log.files}
        found: dict[str, set[int]] = {}
        for group in trace_files([file.name for file in before.files], paths, log.commits):
            state = "changed" if group.is_changed else "moved" if group.is_rewritten else "same"
            for name in group.now:
                ids = pq.ParquetFile(paths[name]).read(["id"])["id"].to_pylist()
                found[state] = found.get(state, set()) | {*ids}
        return found

    first = read_log(table, folder)
    table.append(rows_of(30))
    second = read_log(table, folder)
    assert trace(first) == {"same": {*range(30)}, "changed": {*range(30, 40)}}
    rewrite_table(table)
    assert trace(second) == {"moved": {*range(40)}}
    assert trace(first) == {
        "changed": {*range(20), *range(30, 40)}, "moved": {*range(20, 30)}
    }  # fmt: skip
    third = read_log(table, folder)
    table.delete("id = 3")
    assert trace(third) == {
        "changed": {*range(20), *range(30, 40)} - {3}, "same": {*range(20, 30)}
    }  # fmt: skip
    other = Snapshot(table_id="another", version=first.snapshot.version)
    assert read_log(table, folder, since=other).commits == ()
    expired = Snapshot(table_id=first.snapshot.table_id, version=1)
    assert read_log(table, folder, since=expired).commits == ()


def rename(table: Table) -> None:
    with table.update_schema() as update:
        update.rename_column("id", "number")


def add_again(table: Table) -> None:
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("id")
    with table.update_schema() as update:
        update.add_column("id", LongType())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename, r"columns that were renamed.*\(id, number\)"),
        (add_again, r"columns that were renamed, or dropped and added again.*\(id\)"),
    ],
)
def test_columns_that_names_do_not_find(tmp_path: Path, change: Any, message: str) -> None:
    folder = tmp_path / "t"
    table = create_table(folder, rows_of(0))
    table.append(rows_of(0))
    change(table)
    table.append(
        rows_of(5).rename_columns([f.name for f in table.schema().fields][::1])
        if change is rename
        else rows_of(5).select(["day", "id"])
    )
    with pytest.raises(UnreadFeatureError, match=message):
        read_log(table, folder)


def test_files_of_other_writers_that_name_a_column_otherwise(tmp_path: Path) -> None:
    """They have no ids of columns, and the table says which name is meant."""
    folder = tmp_path / "t"
    table = create_table(folder, rows_of(0))
    table.append(rows_of(0))
    mapping = [{"field-id": 1, "names": ["id", "old_id"]}, {"field-id": 2, "names": ["day"]}]
    with table.transaction() as transaction:
        transaction.set_properties({"schema.name-mapping.default": json.dumps(mapping[1:])})
    assert len(ids_of(read_log(table, folder))) == 10
    with table.transaction() as transaction:
        transaction.set_properties({"schema.name-mapping.default": json.dumps(mapping)})
    with pytest.raises(UnreadFeatureError, match=r"columns that were renamed.*\(id, old_id\)"):
        read_log(table, folder)


def test_columns_that_were_added_or_widened(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    table = create_table(folder, rows_of(0))
    table.append(rows_of(0))
    with table.update_schema() as update:
        update.add_column("text", StringType())
    table.append(rows_of(10).append_column("text", pa.array(["a"] * 10)))
    log = read_log(table, folder)
    assert len(ids_of(log)) == 20
    assert '"text"' in log.schema


def test_types_that_spark_does_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    rows = rows_of(0).append_column("at", pa.array([datetime.time(1)] * 10))
    rows = rows.append_column("tags", pa.array([["a"]] * 10, pa.list_(pa.string())))
    rows = rows.append_column("m", pa.array([{"a": 1, "b": {"c": True}}] * 10))
    table = create_table(folder, rows)
    table.append(rows)
    log = read_log(table, folder)
    assert log.unread == {"at": "has the Iceberg type time"}
    assert '"at"' not in log.schema
    assert '"elementType": "string"' in log.schema
