"""Tables whose files are named by a log: which they are, and which files they have."""

import datetime
import decimal
import json
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from fsspec.implementations.local import LocalFileSystem

from headrace.errors import LakeError
from headrace.lake.logged_files import TableLog, UnreadFeatureError
from headrace.lake.snapshot import Snapshot, trace_files
from headrace.lake.table_log import (
    find_enclosing_table,
    find_log_kind,
    find_nested_table,
    read_table_log,
)
from headrace.lake.walk import walk_folder

LOCAL = LocalFileSystem()


def read_log(folder: Path, **options: Any) -> TableLog:
    kind = find_log_kind(LOCAL, str(folder))
    assert kind is not None
    return read_table_log(LOCAL, str(folder), str(folder), kind, **options)


def read_rows(log: TableLog) -> list[dict[str, Any]]:
    """Read the rows of a table by its log alone, with the values of its partition columns."""
    rows = []
    for file in log.files:
        for row in pq.ParquetFile(file.file.path).read().to_pylist():
            rows.append({**row, **file.values})
    return sorted(rows, key=str)


def write_sink(folder: Path, batches: dict[str, list[tuple[str, str]]]) -> None:
    """Write a sink's log: batch -> action and file of each entry."""
    log = folder / "_spark_metadata"
    log.mkdir(parents=True)
    for batch, entries in batches.items():
        lines = [
            json.dumps({"path": f"file://{quote(f'{folder}/{name}')}", "size": 1, "isDir": False,
                        "action": action})
            for action, name in entries
        ]  # fmt: skip
        (log / batch).write_text("\n".join(["v1", *lines]))
    for name in {name for entries in batches.values() for _, name in entries}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["a.parquet"], None),
        (["_delta_log/00.json"], "delta"),
        (["_spark_metadata/0"], "sink"),
        ([".hoodie/hoodie.properties"], "hudi"),
        (["metadata/v1.metadata.json"], "iceberg"),
        (["metadata/00001-3f.metadata.json"], "iceberg"),
        (["metadata/00001-3f.gz.metadata.json"], "iceberg"),
        (["metadata/version-hint.text"], "iceberg"),
        (["metadata/notes.txt"], None),
    ],
)
def test_the_kind_of_a_table(tmp_path: Path, names: list[str], kind: str | None) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_log_kind(LOCAL, str(tmp_path)) == kind


def test_tables_that_a_path_is_inside_of_or_around(tmp_path: Path) -> None:
    (tmp_path / "t" / "_delta_log").mkdir(parents=True)
    (tmp_path / "t" / "day=1").mkdir()
    assert find_enclosing_table(LOCAL, f"{tmp_path}/t/day=1") == ("delta", f"{tmp_path}/t")
    assert find_enclosing_table(LOCAL, f"{tmp_path}/t") is None
    (tmp_path / "_SUCCESS").touch()
    assert find_nested_table(walk_folder(LOCAL, str(tmp_path))) == ("delta", f"{tmp_path}/t")
    (tmp_path / "t" / "_delta_log").rmdir()
    assert find_nested_table(walk_folder(LOCAL, str(tmp_path))) is None
    (tmp_path / "t" / "metadata").mkdir()
    (tmp_path / "t" / "metadata" / "00001-x.metadata.json").touch()
    assert find_nested_table(walk_folder(LOCAL, str(tmp_path))) == ("iceberg", f"{tmp_path}/t")


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (["a b", "c/d", "ä=%20", None], ["a b", "c/d", "ä=%20", None]),
        ([1, -2, 3, None], ["1", "-2", "3", None]),
        ([True, False, True, None], ["true", "false", "true", None]),
        ([datetime.date(2013, 10, d) for d in (1, 2, 3)] + [None],
         ["2013-10-01", "2013-10-02", "2013-10-03", None]),
        # An empty text is null, as Delta says.
        (["", "null", "-", None], [None, "null", "-", None]),
        ([decimal.Decimal(d) for d in ("1.50", "-2", "0")] + [None],
         ["1.50", "-2.00", "0.00", None]),
    ],
)  # fmt: skip
def test_values_of_partition_columns_are_those_of_the_log(
    tmp_path: Path, column: list[Any], texts: list[str | None]
) -> None:
    table = pa.table({"id": [0, 1, 2, 3], "p": column})
    write_deltalake(tmp_path, table, partition_by=["p"])
    log = read_log(tmp_path)
    assert log.partition_columns == ("p",)
    assert read_rows(log) == sorted(({"id": i, "p": text} for i, text in enumerate(texts)), key=str)


def test_a_table_that_is_partitioned_by_bytes_is_refused(tmp_path: Path) -> None:
    table = pa.table({"id": [0, 1], "p": pa.array([b"a\xff", None], pa.binary())})
    write_deltalake(tmp_path, table, partition_by=["p"])
    with pytest.raises(UnreadFeatureError, match=r"partitioned by bytes \(p\), .*format: delta"):
        read_log(tmp_path)


def test_files_of_earlier_versions_are_not_among_those_of_the_table(tmp_path: Path) -> None:
    for start in (0, 10):
        write_deltalake(tmp_path, pa.table({"id": range(start, start + 10)}), mode="append")
    table = DeltaTable(tmp_path)
    table.delete("id >= 15")
    table.update(updates={"id": "id + 100"}, predicate="id = 3")
    table.optimize.compact()
    log = read_log(tmp_path)
    assert [row["id"] for row in sorted(read_rows(log), key=lambda row: row["id"])] == [
        0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 103
    ]  # fmt: skip
    assert (log.kind, log.snapshot.version) == ("delta", 4)
    assert len(list(tmp_path.glob("*.parquet"))) > len(log.files)
    assert json.loads(log.schema)["fields"][0]["name"] == "id"


@pytest.mark.parametrize("feature", ["deletionVectors", "columnMapping", "typeWidening"])
def test_a_table_with_a_feature_that_files_do_not_obey_is_refused(
    tmp_path: Path, feature: str
) -> None:
    write_deltalake(tmp_path, pa.table({"id": [1]}))
    log = tmp_path / "_delta_log" / "00000000000000000000.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            versions = {"minReaderVersion": 3, "minWriterVersion": 7}
            features = {"readerFeatures": [feature], "writerFeatures": [feature]}
            action["protocol"] = versions | features
    log.write_text("\n".join(map(json.dumps, actions)))
    with pytest.raises(LakeError, match=f"reader features {feature}|cannot be read.*{feature}"):
        read_log(tmp_path)


def test_an_older_table_with_other_names_in_its_files_is_refused(tmp_path: Path) -> None:
    write_deltalake(tmp_path, pa.table({"id": [1]}))
    log = tmp_path / "_delta_log" / "00000000000000000000.json"
    log.write_text(log.read_text().replace('"minReaderVersion":1', '"minReaderVersion":2'))
    with pytest.raises(LakeError, match="reader features columnMapping"):
        read_log(tmp_path)


def test_a_log_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "_delta_log").mkdir()
    with pytest.raises(LakeError, match="is a Delta table whose log cannot be read"):
        read_log(tmp_path)


def test_a_sink_has_what_was_committed(tmp_path: Path) -> None:
    write_sink(tmp_path, {
        "0": [("add", "a")], "1": [("add", "day=1/b c%20d")],
        "2.compact": [("add", "a"), ("add", "day=1/b c%20d"), ("add", "c")],
        "3": [("add", "d"), ("delete", "c")],
    })  # fmt: skip
    (tmp_path / "never committed").write_text("x")
    (tmp_path / "_spark_metadata" / ".4.crc").write_text("x")
    log = read_log(tmp_path)
    assert sorted(file.name for file in log.files) == ["a", "d", "day=1/b c%20d"]
    assert (log.kind, log.snapshot.version) == ("sink", 3)


def test_a_sink_whose_file_is_gone_or_whose_log_has_gaps_is_refused(tmp_path: Path) -> None:
    write_sink(tmp_path / "gone", {"0": [("add", "a")]})
    (tmp_path / "gone" / "a").unlink()
    with pytest.raises(LakeError, match="/a is not there, and the log of the streaming sink"):
        read_log(tmp_path / "gone")
    write_sink(tmp_path / "gap", {"0": [("add", "a")], "2": [("add", "b")]})
    with pytest.raises(LakeError, match="lacks batches between others"):
        read_log(tmp_path / "gap")
    write_sink(tmp_path / "version", {"0": []})
    (tmp_path / "version" / "_spark_metadata" / "0").write_text("v9\n")
    with pytest.raises(LakeError, match="is of version 'v9', and v1 is known"):
        read_log(tmp_path / "version")


def trace_versions(folder: Path, since: int, until: int | None = None) -> dict[str, set[str]]:
    """Trace the files of two versions: state -> ids of the rows of the groups now."""
    first = read_log(folder, as_of=since)
    log = read_log(folder, as_of=until, since=first.snapshot)
    paths = {file.name: file.file.path for file in log.files}
    names = [file.name for file in first.files]
    found: dict[str, set[str]] = {"changed": set(), "moved": set(), "same": set()}
    for group in trace_files(names, paths, log.commits):
        state = "changed" if group.is_changed else "moved" if group.is_rewritten else "same"
        for name in group.now:
            found[state] |= {*pq.ParquetFile(paths[name]).read(["id"])["id"].to_pylist()}
    return found


def test_commits_tell_which_rows_are_new_and_which_were_only_moved(tmp_path: Path) -> None:
    for start in (0, 10, 20, 30):
        rows = pa.table({"id": range(start, start + 10), "day": [start // 20] * 10})
        write_deltalake(tmp_path, rows, mode="append", partition_by=["day"])
    table = DeltaTable(tmp_path)
    table.delete("id = 35")
    rest = {*range(40)} - {35}
    assert trace_versions(tmp_path, 3) == {
        "changed": {*range(30, 40)} - {35}, "moved": set(), "same": {*range(30)}
    }  # fmt: skip
    table.optimize.compact()  # each day's two files become one
    nothing: dict[str, set[int]] = {"changed": set(), "moved": set(), "same": set()}
    assert trace_versions(tmp_path, 4) == nothing | {"moved": rest}
    assert trace_versions(tmp_path, 3) == nothing | {
        "moved": {*range(20)}, "changed": {*range(20, 40)} - {35}
    }  # fmt: skip
    # Back to an earlier version: only names tell, as there is no commit between the two.
    assert trace_versions(tmp_path, 5, 3) == nothing | {"changed": {*range(40)}}
    table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    newest = DeltaTable(tmp_path).version()
    assert trace_versions(tmp_path, 5, newest) == nothing | {"same": rest}


def test_commits_that_are_not_known(tmp_path: Path) -> None:
    for start in (0, 10):
        write_deltalake(tmp_path, pa.table({"id": range(start, start + 10)}), mode="append")
    snapshot = read_log(tmp_path).snapshot
    table = DeltaTable(tmp_path)
    table.optimize.compact()
    write_deltalake(tmp_path, pa.table({"id": [99]}), mode="append")
    assert len(read_log(tmp_path, since=snapshot).commits) == 2
    other = Snapshot(table_id="another table", version=1)
    assert read_log(tmp_path, since=other).commits == ()
    DeltaTable(tmp_path).create_checkpoint()
    (tmp_path / "_delta_log" / f"{2:020d}.json").unlink()
    assert read_log(tmp_path, since=snapshot).commits == ()


def test_earlier_versions_and_times(tmp_path: Path) -> None:
    for start in (0, 10, 20):
        write_deltalake(tmp_path, pa.table({"id": range(start, start + 10)}), mode="append")
        time.sleep(0.01)
    for path in (tmp_path / "_delta_log").glob("*.json"):
        os.utime(path, (4e9, 4e9))  # as where the table was copied
    times = {c["version"]: datetime.datetime.fromtimestamp(c["timestamp"] / 1000, datetime.UTC)
             for c in DeltaTable(tmp_path).history()}  # fmt: skip

    def count_rows(as_of: int | str) -> int:
        return len(read_rows(read_log(tmp_path, as_of=as_of)))

    assert [count_rows(version) for version in (0, 1, 2)] == [10, 20, 30]
    assert [count_rows(times[version].isoformat()) for version in (0, 1, 2)] == [10, 20, 30]
    zone = datetime.timezone(datetime.timedelta(hours=5))
    assert count_rows(times[1].astimezone(zone).isoformat()) == 20
    assert count_rows(times[1].replace(tzinfo=None).isoformat()) == 20
    assert count_rows("2999-01-01") == 30
    with pytest.raises(LakeError, match=r"no version at 1999-01-01: the oldest .* is 0, of 20"):
        count_rows("1999-01-01")
    with pytest.raises(LakeError, match="log cannot be read at 7"):
        count_rows(7)
