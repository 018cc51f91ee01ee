"""Checkpoints: whole or absent, and the newest whole one of an attempt is read."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headrace.errors import FormatError, TrainError
from headrace.file_lock import LockState
from headrace.train.checkpoint import (
    Checkpoints,
    compute_training_id,
    locate_checkpoints,
    name_attempt,
    read_checkpoint,
)
from tests.tiny import tiny_recipe

ARRAYS = {"w0000": np.arange(12, dtype=np.float32).reshape(3, 4), "o0000": np.array(5, np.int64)}
DATASET: Any = SimpleNamespace(digest="abc")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path / "t"))
    location = checkpoints.write_checkpoint("a", 7, {"epoch": 1, "text": "é"}, ARRAYS)
    assert location.endswith("/t/a/step-000000007.ckpt")
    saved = read_checkpoint(location)
    assert saved.location == location
    assert saved.state == {"format": 4, "epoch": 1, "text": "é"}
    assert saved.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(saved.arrays[name], array)
        assert saved.arrays[name].dtype == array.dtype


def test_nothing_in_it_is_executed(tmp_path: Path) -> None:
    path = tmp_path / "t" / "a" / "step-000000001.ckpt"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        np.savez(file, state=np.array([{"a": 1}], dtype=object))  # a pickle
    with pytest.raises(TrainError, match=r"step-000000001\.ckpt is truncated or damaged"):
        read_checkpoint(str(path))


def test_one_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"step-000000001\.ckpt does not exist"):
        read_checkpoint(f"{tmp_path}/step-000000001.ckpt")


def test_one_of_a_newer_headrace_is_not_skipped(tmp_path: Path) -> None:
    """The training would continue from before it, or start over."""
    checkpoints = Checkpoints(str(tmp_path))
    checkpoints.write_checkpoint("a", 1, {}, ARRAYS)
    checkpoints.write_checkpoint("a", 2, {"format": 5}, ARRAYS)
    with pytest.raises(FormatError, match="is of format 5, this Headrace knows format 1 to 4 of a"):
        checkpoints.read_newest("a")


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty"])
def test_the_newest_whole_one_is_read_and_others_are_named(tmp_path: Path, damage: str) -> None:
    checkpoints = Checkpoints(str(tmp_path))
    for step in (1, 2, 10):
        checkpoints.write_checkpoint("a", step, {"step": step}, ARRAYS)
    newest = tmp_path / "a" / "step-000000010.ckpt"
    content = bytearray(newest.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "empty":
        content = bytearray()
    else:  # a value, not a name
        with zipfile.ZipFile(newest) as members:
            first = members.getinfo("w0000.npy").header_offset
        content[first + 200] ^= 1
    newest.write_bytes(content)
    saved, skipped = checkpoints.read_newest("a")
    assert saved is not None
    assert saved.state["step"] == 2
    assert len(skipped) == 1
    assert "step-000000010.ckpt is truncated or damaged" in skipped[0]


def test_an_attempt_without_a_whole_one_has_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path))
    assert checkpoints.read_newest("a") == (None, [])


def test_an_attempt_that_finished_is_not_continued(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path))
    assert checkpoints.list_unfinished() == []
    assert checkpoints.find_newest() is None
    checkpoints.write_checkpoint("20260101T000000-000-1", 1, {}, ARRAYS)
    checkpoints.write_checkpoint("20260102T000000-000-1", 1, {}, ARRAYS)
    assert checkpoints.list_unfinished() == ["20260102T000000-000-1", "20260101T000000-000-1"]
    checkpoints.mark_finished("20260102T000000-000-1", {})
    assert checkpoints.list_unfinished() == ["20260101T000000-000-1"]
    assert checkpoints.find_newest() == f"{tmp_path}/20260101T000000-000-1/step-000000001.ckpt"
    assert name_attempt() > "20260102T000000-000-1"


def test_the_newest_and_the_best_are_not_removed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path))
    for step in range(1, 7):
        checkpoints.write_checkpoint("a", step, {}, ARRAYS)
    checkpoints.remove_older("a", 2, best_step=3)
    assert list_files(tmp_path / "a") == [f"step-{step:09d}.ckpt" for step in (3, 5, 6)]
    checkpoints.remove_older("a", 1, best_step=None)
    assert list_files(tmp_path / "a") == ["step-000000006.ckpt"]


def list_files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_folder_that_cannot_be_written_is_an_error_that_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    checkpoints = Checkpoints(str(tmp_path / "file"))
    with pytest.raises(TrainError, match=r"cannot be written: .*continues the newest whole"):
        checkpoints.write_checkpoint("a", 1, {}, ARRAYS)


def test_an_attempt_is_locked_as_long_as_its_process_lives(tmp_path: Path) -> None:
    first, second = Checkpoints(str(tmp_path)), Checkpoints(str(tmp_path))
    assert first.lock_attempt("a") is LockState.TAKEN
    assert first.lock_attempt("a") is LockState.TAKEN
    assert second.lock_attempt("a") is LockState.HELD
    assert second.lock_attempt("b") is LockState.TAKEN
    # the lock goes with the process, however it ends
    code = (
        "import os; from headrace.train.checkpoint import Checkpoints; "
        f"assert Checkpoints({str(tmp_path)!r}).lock_attempt('c').value == 'taken'; "
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert second.lock_attempt("c") is LockState.TAKEN


def test_a_training_is_told_by_what_it_learns_from(tmp_path: Path) -> None:
    def identify(*overrides: str, dataset: Any = DATASET) -> str:
        return compute_training_id(tiny_recipe(tmp_path, *overrides), dataset)

    identifier = identify()
    assert identifier.startswith("tiny-")
    for same in (
        "train.ranks=2", "train.threads_per_rank=2", "stream.readers=5", "stream.engine=pyarrow",
    ):  # fmt: skip
        assert identify(same) == identifier, same
    for other in (
        "train.epochs=3", "train.seed=8", "train.optimizer.learning_rate=0.5", "model.hidden=[4]",
        "stream.shuffle=false", "stream.canonical_shards=16", "stream.last_batch=drop",
    ):  # fmt: skip
        assert identify(other) != identifier, other
    assert identify(dataset=SimpleNamespace(digest="xyz")) != identifier


def test_checkpoints_are_below_the_workdir_or_where_the_recipe_says(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    name = compute_training_id(recipe, DATASET)
    assert locate_checkpoints(recipe, DATASET, str(tmp_path)) == f"{tmp_path}/checkpoints/{name}"
    moved = tiny_recipe(tmp_path, "train.checkpoint.path=s3://lake/checkpoints/")
    location = locate_checkpoints(moved, DATASET, str(tmp_path))
    assert location == f"s3://lake/checkpoints/{name}"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_is_an_error_and_the_older_checkpoint_stays(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=True)
    try:
        checkpoints = Checkpoints(str(disk))
        checkpoints.write_checkpoint("a", 1, {}, ARRAYS)
        with pytest.raises(TrainError, match=r"step-000000002\.ckpt.*No space left on device"):
            checkpoints.write_checkpoint("a", 2, {}, {"w0000": np.zeros(10**6)})
        assert list_files(disk / "a") == ["step-000000001.ckpt"]
        assert checkpoints.read_newest("a")[0] is not None
    finally:
        subprocess.run(["umount", disk], check=True)
