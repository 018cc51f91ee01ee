"""Checkpoints: whole or absent, the newest whole one is found, the best one stays."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from headrace.errors import FormatError, TrainError
from headrace.train.checkpoint import Checkpoints, CheckpointWriter, read_checkpoint
from headrace.train.checkpoint_policy import check_fits, find_checkpoint

ARRAYS = {"w0000": np.arange(12, dtype=np.float32).reshape(3, 4), "o0000": np.array(5, np.int64)}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    kept = Checkpoints(str(tmp_path / "t"))
    place = kept.write("a", 7, {"epoch": 1, "text": "é"}, ARRAYS)
    assert place.endswith("/t/a/step-000000007.ckpt")
    saved = read_checkpoint(place)
    assert saved.state == {"format": 1, "epoch": 1, "text": "é"}
    assert saved.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(saved.arrays[name], array)
        assert saved.arrays[name].dtype == array.dtype


def test_nothing_in_it_is_executed(tmp_path: Path) -> None:
    place = tmp_path / "t" / "a" / "step-000000001.ckpt"
    place.parent.mkdir(parents=True)
    with place.open("wb") as file:
        np.savez(file, state=np.array([{"a": 1}], dtype=object))  # a pickle
    with pytest.raises(TrainError, match=r"step-000000001\.ckpt is cut or damaged"):
        read_checkpoint(str(place))


def test_one_of_a_newer_headrace_is_not_passed_over(tmp_path: Path) -> None:
    """The training would go on from before it, or begin anew."""
    kept = Checkpoints(str(tmp_path))
    for step in (1, 2):
        kept.write("a", step, {"step": step, **({"format": 2} if step == 2 else {})}, ARRAYS)
    with pytest.raises(FormatError, match="is of format 2, this Headrace knows format 1 of a"):
        kept.newest("a")
    with pytest.raises(FormatError):
        find_checkpoint(kept, "auto", lambda _: None)
    assert find_checkpoint(kept, "never", lambda _: None).saved is None


@pytest.mark.parametrize("how", ["cut", "damaged", "empty"])
def test_the_newest_whole_one_is_found_and_others_are_named(tmp_path: Path, how: str) -> None:
    kept = Checkpoints(str(tmp_path))
    for step in (1, 2, 10):
        kept.write("a", step, {"step": step}, ARRAYS)
    newest = tmp_path / "a" / "step-000000010.ckpt"
    content = bytearray(newest.read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    elif how == "empty":
        content = bytearray()
    else:  # a value, not a name
        with zipfile.ZipFile(newest) as members:
            first = members.getinfo("w0000.npy").header_offset
        content[first + 200] ^= 1
    newest.write_bytes(content)
    saved, passed = kept.newest("a")
    assert saved is not None
    assert saved.state["step"] == 2
    assert len(passed) == 1
    assert "step-000000010.ckpt is cut or damaged" in passed[0]


def test_an_attempt_that_finished_is_not_continued(tmp_path: Path) -> None:
    kept = Checkpoints(str(tmp_path))
    assert kept.unfinished() == []
    kept.write("20260101T000000-000-1", 1, {}, ARRAYS)
    kept.write("20260102T000000-000-1", 1, {}, ARRAYS)
    assert kept.unfinished() == ["20260102T000000-000-1", "20260101T000000-000-1"]
    kept.finish("20260102T000000-000-1", {})
    assert kept.unfinished() == ["20260101T000000-000-1"]
    assert kept.new_attempt() > "20260102T000000-000-1"


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    kept = Checkpoints(str(tmp_path))
    writer = CheckpointWriter(kept, "a", keep=2)
    for step in range(1, 7):
        writer.write(step, {}, ARRAYS, best_step=2 if step > 2 else None)
    writer.wait()
    writer.close()
    names = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert names == [f"step-{step:09d}.ckpt" for step in (2, 5, 6)]


def test_a_folder_that_cannot_be_written_is_an_error_that_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    kept = Checkpoints(str(tmp_path / "file"))
    with pytest.raises(TrainError, match=r"cannot be written: .*continues the newest whole"):
        kept.write("a", 1, {}, ARRAYS)


def test_an_error_of_the_writing_thread_is_raised(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    writer = CheckpointWriter(Checkpoints(str(tmp_path / "file")), "a", keep=1)
    writer.write(1, {}, ARRAYS, None)
    with pytest.raises(TrainError, match="cannot be written"):
        writer.write(2, {}, ARRAYS, None)
    writer.close()


def test_an_attempt_that_is_under_way_is_left_alone(tmp_path: Path) -> None:
    first, second = Checkpoints(str(tmp_path)), Checkpoints(str(tmp_path))
    first.write("a", 1, {}, ARRAYS)
    first.write("b", 1, {}, ARRAYS)
    assert first.hold("b")
    seen: list[str] = []
    found = find_checkpoint(second, "auto", lambda progress: seen.append(progress.text))
    assert found.attempt == "a"
    assert seen == ["passed over: b is under way in another process"]
    # the lock goes with the process, however it ends
    code = (
        "import os; from headrace.train.checkpoint import Checkpoints; "
        f"assert Checkpoints({str(tmp_path)!r}).hold('c'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert second.hold("c")


def test_a_checkpoint_of_another_dataset_is_refused() -> None:
    facts = {"dataset": "abc", "steps": 7}
    check_fits(facts, "abc", 7)
    with pytest.raises(TrainError, match="dataset abc, here xyz; steps 7, here 8"):
        check_fits(facts, "xyz", 8)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_is_an_error_and_the_older_checkpoint_stays(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=True)
    try:
        kept = Checkpoints(str(disk))
        kept.write("a", 1, {}, ARRAYS)
        with pytest.raises(TrainError, match=r"step-000000002\.ckpt.*No space left on device"):
            kept.write("a", 2, {}, {"w0000": np.zeros(10**6)})
        assert [file.name for file in (disk / "a").iterdir()] == ["step-000000001.ckpt"]
        assert kept.newest("a")[0] is not None
    finally:
        subprocess.run(["umount", disk], check=True)
