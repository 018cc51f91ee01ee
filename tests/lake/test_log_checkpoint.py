"""Who opens a table reads ten commits at most, or a hundred of one with very many files."""

from pathlib import Path

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from headrace.lake import DatasetVersion, publish_build
from headrace.lake import log_checkpoint as module
from headrace.lake.log_checkpoint import checkpoint_log
from tests.lake.building import SCHEMA, make_build


def publish(root: Path, number: int) -> int:
    build = make_build(
        root, f"20260101T0000{number:02d}-00000000", base=number - 1 if number else None
    )
    return publish_build(str(root), build, SCHEMA, "{}")


def list_checkpoints(root: Path) -> list[int]:
    return sorted(
        int(path.name[:20]) for path in (root / "_delta_log").glob("*.checkpoint.parquet")
    )


def test_ten_commits_are_read_at_most(tmp_path: Path) -> None:
    for number in range(25):
        assert publish(tmp_path, number) == number
    assert list_checkpoints(tmp_path) == [10, 20]
    for number in range(25):
        opened = DatasetVersion.open(str(tmp_path), number)
        assert opened.build.build_id == f"20260101T0000{number:02d}-00000000"
    assert DatasetVersion.open(str(tmp_path)).version == 24


def test_a_table_of_many_files_has_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ACTIONS_PER_COMMIT", 1 / 4)  # every file counts as 256
    for number in range(24):
        publish(tmp_path, number)
    first, *others = list_checkpoints(tmp_path)
    assert first == 10
    assert others == []  # its actions are more than ten


def test_a_checkpoint_that_fails_leaves_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: DeltaTable) -> None:
        raise DeltaError("no space left")

    for number in range(10):
        publish(tmp_path, number)
    with monkeypatch.context() as patch:
        patch.setattr(DeltaTable, "create_checkpoint", fail)
        assert publish(tmp_path, 10) == 10
    assert list_checkpoints(tmp_path) == []
    assert publish(tmp_path, 11) == 11
    assert list_checkpoints(tmp_path) == [11]


@pytest.mark.parametrize("text", ["", "{", '{"version": "x"}', "[]"])
def test_what_names_the_newest_may_be_damaged(tmp_path: Path, text: str) -> None:
    for number in range(11):
        publish(tmp_path, number)
    (tmp_path / "_delta_log/_last_checkpoint").write_text(text)
    for number in (11, 12):  # the next commit has one, which names itself
        publish(tmp_path, number)
    assert list_checkpoints(tmp_path) == [10, 11]
    assert not checkpoint_log(str(tmp_path), 12)
