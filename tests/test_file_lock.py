"""A lock is taken, held by another process, or unknown to the file system: never mixed up."""

import errno
import fcntl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headrace.file_lock import FileLock, LockState, hold_lock


def refuse_with(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize(
    "number",
    [
        errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO, errno.ENOTSUP,
        errno.EBADF, errno.EPERM, errno.ESTALE, errno.EREMOTEIO,
    ],
)  # fmt: skip
def test_a_file_system_without_locks_is_not_another_process(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_with(number, monkeypatch)
    assert FileLock(tmp_path / "l").take() is LockState.UNKNOWN
    with hold_lock(tmp_path / "l") as state:
        assert state is LockState.UNKNOWN


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES])
def test_what_another_process_has_is_held(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_with(number, monkeypatch)
    assert FileLock(tmp_path / "l").take() is LockState.HELD


def test_a_lock_is_taken_once_and_released(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    assert first.take() is LockState.TAKEN
    assert first.take() is LockState.TAKEN
    assert second.take() is LockState.HELD
    first.release()
    first.release()
    assert second.take() is LockState.TAKEN


def test_a_process_that_is_killed_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from headrace.file_lock import FileLock;"
        "lock = FileLock(Path(sys.argv[1])); print(lock.take(), flush=True); time.sleep(60)"
    )
    path = str(tmp_path / "l")
    process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert b"TAKEN" in process.stdout.readline()
    assert FileLock(tmp_path / "l").take() is LockState.HELD
    process.kill()
    process.wait()
    assert FileLock(tmp_path / "l").take() is LockState.TAKEN


def test_a_folder_that_is_not_there_is_an_error_or_no_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "no" / "l").take()
    with hold_lock(tmp_path / "no" / "l") as state:
        assert state is LockState.UNKNOWN
