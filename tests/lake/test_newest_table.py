"""The newest version of a table is opened again where its log has changed, and only there."""

import os
import shutil
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from headrace.errors import DatasetError, OptionError
from headrace.lake import newest_table
from headrace.lake.newest_table import open_newest_table


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """List the roots that are opened for real."""
    roots: list[str] = []
    really = newest_table.open_delta_table

    def count(root: str) -> DeltaTable:
        roots.append(root)
        return really(root)

    monkeypatch.setattr(newest_table, "open_delta_table", count)
    return roots


def test_what_a_file_system_cannot_list_is_told_by_the_opening() -> None:
    """The port is none, which is no error of a store."""
    with pytest.raises(OptionError, match="Delta's writer knows no such store"):
        open_newest_table("https://127.0.0.1:9:8/ds")


def write(root: Path, value: int, mode: str = "append") -> None:
    write_deltalake(str(root), pa.table({"value": [value]}), mode=mode)


def read(root: Path) -> list[int]:
    table = open_newest_table(str(root))
    assert table is not None
    return sorted(table.to_pyarrow_table()["value"].to_pylist())


def test_a_log_that_is_as_it_was_is_not_read_again(tmp_path: Path, opened: list[str]) -> None:
    write(tmp_path, 1)
    assert read(tmp_path) == read(tmp_path) == [1]
    assert open_newest_table(str(tmp_path)) is open_newest_table(str(tmp_path))
    assert opened == [str(tmp_path)]


def test_every_commit_is_seen_and_an_earlier_table_stays_what_it_was(
    tmp_path: Path, opened: list[str]
) -> None:
    write(tmp_path, 0)
    first = open_newest_table(str(tmp_path))
    for value in range(1, 15):  # over a checkpoint of delta-rs
        write(tmp_path, value)
        if value == 10:
            DeltaTable(str(tmp_path)).create_checkpoint()
        assert read(tmp_path) == [*range(value + 1)]
    assert first is not None
    assert first.version() == 0
    assert first.to_pyarrow_table().num_rows == 1
    assert len(opened) == 15


def test_a_table_that_is_written_anew_at_the_same_place_is_another_one(tmp_path: Path) -> None:
    root = tmp_path / "table"
    write(root, 1)
    assert read(root) == [1]
    shutil.rmtree(root)
    assert open_newest_table(str(root)) is None
    write(root, 2)
    assert read(root) == [2]
    aside = tmp_path / "aside"
    write(aside, 3)
    shutil.rmtree(root)
    aside.rename(root)
    assert read(root) == [3]


def test_a_commit_of_the_same_size_and_time_is_another_one(tmp_path: Path) -> None:
    write(tmp_path, 1)
    log = tmp_path / "_delta_log" / f"{0:020d}.json"
    assert read(tmp_path) == [1]
    before = log.stat()
    other = log.read_bytes()
    aside = log.with_name("aside")
    aside.write_bytes(other)
    os.utime(aside, ns=(before.st_atime_ns, before.st_mtime_ns))
    first = open_newest_table(str(tmp_path))
    aside.replace(log)
    assert open_newest_table(str(tmp_path)) is not first


@pytest.mark.parametrize("number", [0, 1, 2])
def test_damage_of_any_commit_is_told_in_the_same_process(tmp_path: Path, number: int) -> None:
    for value in range(3):
        write(tmp_path, value)
    assert read(tmp_path) == [0, 1, 2]
    log = tmp_path / "_delta_log" / f"{number:020d}.json"
    log.write_bytes(b"{" + log.read_bytes()[1:-9])
    with pytest.raises(DatasetError, match="damaged"):
        open_newest_table(str(tmp_path))


def test_a_commit_during_the_opening_is_seen_the_next_time(tmp_path: Path, monkeypatch) -> None:
    write(tmp_path, 1)
    really = newest_table.open_delta_table

    def open_and_commit(root: str) -> DeltaTable:
        write(tmp_path, 2)
        return really(root)

    monkeypatch.setattr(newest_table, "open_delta_table", open_and_commit)
    assert read(tmp_path) == [1, 2]
    monkeypatch.setattr(newest_table, "open_delta_table", really)
    write(tmp_path, 3)
    assert read(tmp_path) == [1, 2, 3]


def test_large_logs_and_many_tables_are_not_kept(
    tmp_path: Path, opened: list[str], monkeypatch
) -> None:
    for number in range(6):
        write(tmp_path / str(number), number)
        assert read(tmp_path / str(number)) == [number]
    assert len(newest_table._opened) <= 4
    assert read(tmp_path / "0") == [0]
    assert len(opened) == 7
    monkeypatch.setattr(newest_table, "_MOST_LOG_BYTES", 10)
    for _ in range(3):
        assert read(tmp_path / "0") == [0]
    assert len(opened) == 10


def test_threads_see_what_is_newest(tmp_path: Path) -> None:
    write(tmp_path, 0)
    failed: list[str] = []
    stop = threading.Event()

    def look() -> None:
        last = 0
        while not stop.is_set():
            table = open_newest_table(str(tmp_path))
            version = -1 if table is None else table.version()
            if version < last:
                failed.append(f"{version} after {last}")
            last = version

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for value in range(1, 12):
        write(tmp_path, value)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed
    assert read(tmp_path) == [*range(12)]
