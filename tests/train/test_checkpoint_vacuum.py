"""Checkpoints that nobody continues are removed, and nothing else is."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.errors import StoreError, TrainError
from headrace.file_lock import LockState
from headrace.train.checkpoint import Checkpoints
from headrace.train.checkpoint_vacuum import CheckpointVacuum, vacuum_checkpoints

ARRAYS = {"w0000": np.ones(3, np.float32)}
DONE, LEFT, NEW = "20260101T000000-000-1", "20260102T000000-000-1", "20260103T000000-000-1"
NOW = datetime.now(UTC) + timedelta(hours=10)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A finished attempt and two that are not, of a training; and what somebody else wrote."""
    checkpoints = Checkpoints(str(tmp_path / "tiny-abc"))
    for attempt in (DONE, LEFT, NEW):
        for step in (1, 2):
            checkpoints.write_checkpoint(attempt, step, {}, ARRAYS)
    checkpoints.mark_finished(DONE, {})
    (tmp_path / "tiny-abc" / DONE / "notes.txt").write_text("mine")
    (tmp_path / "tiny-abc" / "other").mkdir()
    (tmp_path / "tiny-abc" / "other" / "step-000000001.ckpt").write_text("mine")
    later = (NOW - timedelta(hours=1)).timestamp()
    for file in (tmp_path / "tiny-abc" / NEW).iterdir():
        os.utime(file, (later, later))
    return tmp_path


def vacuum(root: Path, **changes: Any) -> CheckpointVacuum:
    options: dict[str, Any] = {
        "keep_finished": timedelta(0), "keep_unfinished": timedelta(hours=5), "now": NOW,
        "dry_run": False,
    }  # fmt: skip
    return vacuum_checkpoints(str(root), **(options | changes))


def list_names(root: Path) -> set[str]:
    return {str(p.relative_to(root / "tiny-abc")) for p in root.rglob("*") if p.is_file()}


def test_what_is_listed_is_what_is_removed(root: Path) -> None:
    before = list_names(root)
    listed = vacuum(root, dry_run=True)
    assert list_names(root) - {f"{LEFT}/.lock"} == before
    removed = vacuum(root)
    assert listed.finished == removed.finished == (f"tiny-abc/{DONE}",)
    assert listed.abandoned == removed.abandoned == (f"tiny-abc/{LEFT}",)
    assert [Path(path).name for path in removed.foreign] == ["notes.txt"]
    assert list_names(root) == {
        f"{DONE}/notes.txt", "other/step-000000001.ckpt",
        f"{NEW}/step-000000001.ckpt", f"{NEW}/step-000000002.ckpt",
    }  # fmt: skip
    assert not (root / "tiny-abc" / LEFT).exists()


def test_one_that_is_young_stays(root: Path) -> None:
    before = list_names(root)
    result = vacuum(root, keep_finished=timedelta(hours=20), keep_unfinished=timedelta(hours=20))
    assert (result.files, result.finished, result.abandoned) == (0, (), ())
    assert list_names(root) == before


def test_one_that_a_process_continues_stays(root: Path) -> None:
    code = (
        "import sys, time; from headrace.train.checkpoint import Checkpoints;"
        f"c = Checkpoints(sys.argv[1]); print(c.lock_attempt({LEFT!r}), flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(root / "tiny-abc")], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert str(LockState.TAKEN).encode() in process.stdout.readline()
    try:
        result = vacuum(root)
    finally:
        process.kill()
        process.wait()
    assert result.running == (f"tiny-abc/{LEFT}",)
    assert f"{LEFT}/step-000000002.ckpt" in list_names(root)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="there are no checkpoints at"):
        vacuum(tmp_path / "no")


def test_a_training_whose_attempts_are_gone_is_gone(root: Path) -> None:
    for path in (root / "tiny-abc" / "other").iterdir():
        path.unlink()
    (root / "tiny-abc" / "other").rmdir()
    (root / "tiny-abc" / DONE / "notes.txt").unlink()
    vacuum(root, keep_unfinished=timedelta(0), now=NOW + timedelta(days=1))
    assert list(root.iterdir()) == []


def test_only_the_newest_stay_of_one_that_finished(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path))
    for step in (1, 2, 3):
        checkpoints.write_checkpoint("a", step, {}, ARRAYS)
    checkpoints.remove_older("a", 1, None)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["step-000000003.ckpt"]
    checkpoints.remove_older("a", 0, None)
    assert list((tmp_path / "a").iterdir()) == []


def test_one_that_cannot_be_removed_is_named(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path))
    checkpoints.write_checkpoint("a", 1, {}, ARRAYS)
    (tmp_path / "a" / "step-000000000.ckpt").mkdir()  # nothing that a file's removal removes
    with pytest.raises(StoreError, match=r"step-000000000\.ckpt cannot be removed"):
        checkpoints.remove_older("a", 1, None)
