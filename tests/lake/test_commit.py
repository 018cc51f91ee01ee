"""Publishing a build: once under a caller's id, never over another program's table."""

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from headrace.errors import DatasetError, LedgerError
from headrace.lake import DatasetVersion, publish_build
from headrace.lake.commit import discard_build, find_published_version
from tests.lake.building import SCHEMA, make_build


def test_a_given_id_is_found_again(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    assert find_published_version(str(root), "nightly") is None
    publish_build(str(root), make_build(root, "one", given_id="nightly"), SCHEMA, "{}")
    publish_build(str(root), make_build(root, "two", 20, base=0), SCHEMA, "{}")
    assert find_published_version(str(root), "nightly") == 0
    assert find_published_version(str(root), "other") is None
    assert DeltaTable(str(root)).transaction_version("headrace:nightly") == 0


def test_a_given_id_whose_version_was_removed_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish_build(str(root), make_build(root, "one", given_id="nightly"), SCHEMA, "{}")
    (root / "_headrace" / "one" / "build.json").unlink()
    with pytest.raises(DatasetError, match=r"published as 'nightly'.*choose another --build-id"):
        find_published_version(str(root), "nightly")


def test_nothing_is_visible_when_the_ledger_does_not_add_up(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    with pytest.raises(LedgerError):
        publish_build(str(root), make_build(root, "one", 10, read=11), SCHEMA, "{}")
    assert not (root / "_delta_log").exists()
    with pytest.raises(DatasetError, match="there is no dataset"):
        DatasetVersion.open(str(root))


def test_a_table_of_another_program_is_not_replaced(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    write_deltalake(str(root), pa.table({"a": [1, 2]}))
    DeltaTable(str(root)).delete("a = 1")
    with pytest.raises(DatasetError, match=r"newest commit \(DELETE\) is not a build of Headrace"):
        publish_build(str(root), make_build(root, "one", base=0), SCHEMA, "{}")
    assert DeltaTable(str(root)).version() == 1
    assert not (root / "_headrace").exists()


def test_a_file_that_was_truncated_is_not_published(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    build = make_build(root, "one")
    file = root / build.files[0].path
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"part-one-00000-0\.parquet has \d+ bytes here"):
        publish_build(str(root), build, SCHEMA, "{}")
    assert not (root / "_delta_log").exists()
    assert not (root / "_headrace").exists()


def test_the_splits_are_partitions_of_the_table(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish_build(str(root), make_build(root, "one", 10), SCHEMA, "{}")
    table = DeltaTable(str(root))
    assert table.metadata().partition_columns == ["split"]
    (action,) = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    assert (action["partition.split"], action["num_records"]) == ("train", 10)


def test_discard_removes_a_dead_build_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish_build(str(root), make_build(root, "one"), SCHEMA, "{}")
    make_build(root, "two")
    (root / "_headrace" / "two").mkdir()
    discard_build(str(root), "two")
    assert [p.name for p in root.rglob("*.parquet")] == ["part-one-00000-0.parquet"]
    assert [p.name for p in (root / "_headrace").iterdir()] == ["one"]
    discard_build(str(root), "one")  # it was committed: an error after the commit must not undo it
    assert DatasetVersion.open(str(root)).build.build_id == "one"
    assert len(list(root.rglob("*.parquet"))) == 1


def test_there_may_be_nothing_to_discard(tmp_path: Path) -> None:
    discard_build(str(tmp_path / "nowhere"), "one")
