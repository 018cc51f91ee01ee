"""Rejected rows, read again from their files by the task that met them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.source.internal_columns import FILE, POSITION, PROBLEMS
from headrace.source.late_materialization import LateColumns
from headrace.source.local_files import LocalFile
from headrace.source.problems import REASON_SEPARATOR
from headrace.source.quarantine import in_tasks
from headrace.source.quarantine.in_tasks import RejectedRows, remove_other_files

CHECKS = ("not_null(x)", "range(x)")


def write_numbers(path: Path, begin: int, rows: int, **more: list[object]) -> LocalFile:
    """Write rows that are numbered on, in row groups of four."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"x": list(range(begin, begin + rows))} | more
    pq.write_table(pa.table(columns), path, row_group_size=4)
    return LocalFile.from_path(path)


def rejected_rows(folder: Path, files: Mapping[int, LocalFile], *columns: str) -> RejectedRows:
    late = LateColumns("t", {"x": "bigint"}, files)
    return RejectedRows(late, str(folder), "00003-9", CHECKS, columns)


def noted(*rows: tuple[int, int, int]) -> pa.Table:
    """Return rows of (file, position, check that they violate)."""
    return pa.table(
        {
            FILE: pa.array([file for file, _, _ in rows], pa.int64()),
            POSITION: pa.array([position for _, position, _ in rows], pa.int64()),
            PROBLEMS: [f"{check}{REASON_SEPARATOR}why" for _, _, check in rows],
        }
    )


def test_rows_are_read_by_file_and_position_in_whatever_order_they_were_met(tmp_path: Path) -> None:
    lake, folder = tmp_path / "lake", tmp_path / "quarantine"
    files = {
        71: write_numbers(lake / "a.parquet", 0, 10),
        72: write_numbers(lake / "b.parquet", 100, 5),
    }
    rejected = rejected_rows(folder, files)
    rejected.add_rows(noted((71, 9, 1), (72, 4, 0)))
    rejected.add_rows(noted((71, 0, 0), (71, 3, 1)))
    assert rejected.write_files() == (4, ["part-00003-9-0000.parquet"])
    rows = pq.read_table(folder / "part-00003-9-0000.parquet")
    assert rows.to_pydict() == {
        "x": [0, 3, 9, 104],
        "quarantine_rules": [["not_null(x)"], ["range(x)"], ["range(x)"], ["not_null(x)"]],
        "quarantine_reasons": [["why"]] * 4,
    }


def test_where_nothing_was_rejected_there_is_no_file(tmp_path: Path) -> None:
    assert rejected_rows(tmp_path / "quarantine", {}).write_files() == (0, [])
    assert not (tmp_path / "quarantine").exists()


def test_columns_of_folders_are_texts_and_those_of_the_file_stay(tmp_path: Path) -> None:
    file = write_numbers(tmp_path / "day=07" / "city=S%C3%A3o" / "a.parquet", 0, 2, city=["x", "y"])
    rejected = rejected_rows(tmp_path / "q", {5: file}, "day", "city", "other")
    rejected.add_rows(noted((5, 1, 0)))
    _, (name,) = rejected.write_files()
    rows = pq.read_table(tmp_path / "q" / name).select(["x", "city", "day"])
    assert rows.to_pylist() == [{"x": 1, "city": "y", "day": "07"}]


def test_a_folder_without_a_value_is_null(tmp_path: Path) -> None:
    file = write_numbers(tmp_path / "day=__HIVE_DEFAULT_PARTITION__" / "a.parquet", 0, 2)
    rejected = rejected_rows(tmp_path / "q", {5: file}, "day")
    rejected.add_rows(noted((5, 1, 0)))
    _, (name,) = rejected.write_files()
    rows = pq.read_table(tmp_path / "q" / name).select(["x", "day"])
    assert rows.to_pylist() == [{"x": 1, "day": None}]


def test_values_that_only_a_log_has(tmp_path: Path) -> None:
    file = write_numbers(tmp_path / "p=" / "a.parquet", 0, 2)
    late = LateColumns("t", {"x": "bigint"}, {5: file})
    values = {file.path: {"p": None, "day": "3"}}
    rejected = RejectedRows(late, str(tmp_path / "q"), "1", CHECKS, ["p", "day"], values)
    rejected.add_rows(noted((5, 1, 0)))
    _, (name,) = rejected.write_files()
    rows = pq.read_table(tmp_path / "q" / name).select(["x", "p", "day"])
    assert rows.to_pylist() == [{"x": 1, "p": None, "day": "3"}]


def test_files_of_different_columns_go_to_different_files(tmp_path: Path) -> None:
    files = {
        1: write_numbers(tmp_path / "lake" / "a.parquet", 0, 3),
        2: write_numbers(tmp_path / "lake" / "b.parquet", 10, 3, y=["a", "b", "c"]),
        3: write_numbers(tmp_path / "lake" / "c.parquet", 20, 3),
    }
    rejected = rejected_rows(tmp_path / "q", files)
    rejected.add_rows(noted((1, 0, 0), (2, 1, 0), (3, 2, 0)))
    rows, names = rejected.write_files()
    assert (rows, len(names)) == (3, 2)
    tables = [pq.read_table(tmp_path / "q" / name) for name in names]
    assert sorted(table["x"].to_pylist() for table in tables) == [[0, 22], [11]]


def test_rows_are_written_before_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_tasks, "_HELD_ROWS", 4)
    file = write_numbers(tmp_path / "lake" / "a.parquet", 0, 10)  # row groups of 4, 4 and 2
    rejected = rejected_rows(tmp_path / "q", {1: file})
    rejected.add_rows(noted(*((1, position, 0) for position in range(10))))
    rows, names = rejected.write_files()
    assert (rows, len(names)) == (10, 3)
    assert [pq.read_table(tmp_path / "q" / n)["x"].to_pylist() for n in names] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9]
    ]  # fmt: skip


def test_a_file_that_changed_or_is_gone_is_named(tmp_path: Path) -> None:
    file = write_numbers(tmp_path / "lake" / "a.parquet", 0, 3)
    rejected = rejected_rows(tmp_path / "q", {1: file})
    rejected.add_rows(noted((1, 0, 0)))
    os.utime(file.path, ns=(1, 1))
    with pytest.raises(LakeError, match=r"table 't': .*a\.parquet changed while it was read"):
        rejected.write_files()
    Path(file.path).unlink()
    with pytest.raises(LakeError, match=r"table 't': .*a\.parquet cannot be read: .*restore or"):
        rejected.write_files()


def test_files_of_attempts_that_do_not_count_are_removed(tmp_path: Path) -> None:
    for name in ("part-1.parquet", "part-2.parquet"):
        (tmp_path / name).write_bytes(b"x")
    remove_other_files(str(tmp_path), ["part-2.parquet"])
    assert [path.name for path in tmp_path.iterdir()] == ["part-2.parquet"]
    remove_other_files(str(tmp_path / "none"), [])
