"""Publishing and opening dataset versions, on real Delta tables."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from headrace.errors import DatasetError, LedgerError
from headrace.lake import DatasetVersion, publish
from headrace.lake.commit import discard
from tests.lake.building import SCHEMA, build


def test_versions_are_numbered_and_old_ones_stay_readable(tmp_path: Path) -> None:
    root = str(tmp_path / "ds")
    assert publish(root, build(tmp_path / "ds", "one", 10), SCHEMA, "{}") == 0
    assert publish(root, build(tmp_path / "ds", "two", 20, base=0), SCHEMA, '{"x":1}') == 1
    newest, old = DatasetVersion.open(root), DatasetVersion.open(root, 0)
    assert (newest.version, newest.rows("train"), newest.transform_json) == (1, 20, '{"x":1}')
    assert (old.version, old.rows("train"), old.build.build_id) == (0, 10, "one")
    assert old.digest != newest.digest
    # any Delta reader sees the pinned rows too
    assert DeltaTable(root, version=0).count() == 10
    assert DeltaTable(root).count() == 20


def test_the_digest_depends_on_rows_and_transform_not_on_names(tmp_path: Path) -> None:
    roots = [tmp_path / "a", tmp_path / "b"]
    for root, build_id in zip(roots, ["one", "other"], strict=True):
        publish(str(root), build(root, build_id), SCHEMA, "{}")
    a, b = (DatasetVersion.open(str(root)) for root in roots)
    assert a.build.build_id != b.build.build_id
    assert a.digest == b.digest


def test_nothing_is_visible_when_the_ledger_does_not_add_up(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    with pytest.raises(LedgerError):
        publish(str(root), build(root, "one", 10, read=11), SCHEMA, "{}")
    assert not (root / "_delta_log").exists()
    with pytest.raises(DatasetError, match="there is no dataset"):
        DatasetVersion.open(str(root))


def test_a_version_that_is_not_there_names_the_newest(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish(str(root), build(root, "one"), SCHEMA, "{}")
    with pytest.raises(DatasetError, match="no version 7, the newest is 0"):
        DatasetVersion.open(str(root), 7)


def test_a_delta_table_of_someone_else_is_refused(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "t"), pa.table({"a": [1]}))
    with pytest.raises(DatasetError, match="was not published by Headrace"):
        DatasetVersion.open(str(tmp_path / "t"))


def test_a_damaged_or_missing_sidecar_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish(str(root), build(root, "one"), SCHEMA, "{}")
    sidecar = root / "_headrace" / "one" / "build.json"
    whole = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**whole, "files": []}))
    with pytest.raises(DatasetError, match="they differ in split=train/part-one"):
        DatasetVersion.open(str(root))
    sidecar.write_text("{")
    with pytest.raises(DatasetError, match="damaged"):
        DatasetVersion.open(str(root))
    sidecar.unlink()
    with pytest.raises(DatasetError, match=r"build\.json"):
        DatasetVersion.open(str(root))


def test_discard_removes_a_dead_build_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish(str(root), build(root, "one"), SCHEMA, "{}")
    build(root, "two")
    discard(str(root), "two")
    assert [p.name for p in root.rglob("*.parquet")] == ["part-one-00000-0.parquet"]
    discard(str(root), "one")  # it was committed: an error after the commit must not undo it
    assert DatasetVersion.open(str(root)).build.build_id == "one"
    assert len(list(root.rglob("*.parquet"))) == 1


def test_a_relative_root_means_the_same_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    publish("ds", build(tmp_path / "ds", "one"), SCHEMA, "{}")
    assert DatasetVersion.open("ds").root == str(tmp_path / "ds")
