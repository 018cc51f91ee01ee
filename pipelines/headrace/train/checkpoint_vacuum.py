"""Remove checkpoints that nobody continues: of finished trainings, and of those that were left.

Only files that Headrace wrote are removed, below `PATH/TRAINING/ATTEMPT`; whatever else lies there
stays and is named. An attempt that a process has locked is under way, however old it is.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.errors import StoreError, TrainError
from headrace.file_lock import LockState
from headrace.lake.storage import describe_error, is_storage_error, open_filesystem
from headrace.redaction import redact_text
from headrace.train.checkpoint import FINISHED, SHARD_NAME, Checkpoints

_OWN = re.compile(r"(step-\d{9}\.ckpt|finished\.json)(\.aside)?$|\.lock$")
_ATTEMPT = re.compile(r"\d{8}T\d{6}-\d{3}-\d+$")


@dataclass(frozen=True)
class CheckpointVacuum:
    """The attempts whose files were removed, or would be in a dry run.

    Attributes:
        finished: attempts of trainings that ended with a model.
        abandoned: attempts that nobody has continued for long.
        running: attempts that would be abandoned and are locked by a process.
        foreign: files among them that Headrace did not write, which stay.
        files: number of files.
        bytes: their size.
    """

    finished: tuple[str, ...]
    abandoned: tuple[str, ...]
    running: tuple[str, ...]
    foreign: tuple[str, ...]
    files: int
    bytes: int


def vacuum_checkpoints(
    root: str,
    *,
    keep_finished: timedelta,
    keep_unfinished: timedelta,
    now: datetime,
    dry_run: bool,
) -> CheckpointVacuum:
    """Find the checkpoints that nobody needs and, unless it is a dry run, remove them.

    Args:
        root: `train.checkpoint.path`, by default `checkpoints` below the workdir; folder or URL.
        keep_finished: how long those of a training stay that ended with a model.
        keep_unfinished: how long those of a training stay that nobody has continued.
        now: the time.
        dry_run: whether the files are only listed.

    Raises:
        TrainError: there is no such folder.
        StoreError: it cannot be listed, or a file cannot be removed.
    """
    files, path = open_filesystem(root.rstrip("/"))
    finished: list[str] = []
    abandoned: list[str] = []
    running: list[str] = []
    foreign: list[str] = []
    count = size = 0
    try:
        if not files.exists(path):
            raise TrainError(f"there are no checkpoints at {redact_text(root)}")
        for training in _list_folders(files, path):
            checkpoints = Checkpoints(f"{root.rstrip('/')}/{training}")
            for attempt in _list_folders(files, f"{path}/{training}"):
                if not _ATTEMPT.match(attempt):
                    continue
                own, _ = _list_files(files, f"{path}/{training}/{attempt}")
                is_finished = any(_get_name(entry["name"]) == FINISHED for entry in own)
                age = now - max((_get_time(files, entry) for entry in own), default=now)
                if age < (keep_finished if is_finished else keep_unfinished):
                    continue
                name = f"{training}/{attempt}"
                if not is_finished and checkpoints.lock_attempt(attempt) is LockState.HELD:
                    running.append(name)
                    continue
                own, others = _list_files(files, f"{path}/{training}/{attempt}")  # with the lock
                (finished if is_finished else abandoned).append(name)
                foreign += [entry["name"] for entry in others]
                count, size = count + len(own), size + sum(e["size"] for e in own)
                if not dry_run:
                    _remove_files(files, f"{path}/{training}/{attempt}", own)
            checkpoints.release_locks()
    except Exception as error:
        if not is_storage_error(error):
            raise
        raise StoreError(
            f"checkpoints {redact_text(root)} cannot be removed: {describe_error(error)}"
        ) from error
    return CheckpointVacuum(
        tuple(finished), tuple(abandoned), tuple(running), tuple(foreign), count, size
    )


def _remove_files(files: Any, folder: str, entries: list[dict[str, Any]]) -> None:
    """Remove an attempt's files, what says that it is finished last, and folders that are empty."""
    for entry in sorted(entries, key=lambda e: _get_name(e["name"]) == FINISHED):
        files.rm_file(entry["name"])
    for path in (folder, folder.rpartition("/")[0]):
        if not files.ls(path, detail=False):
            files.rmdir(path)


def _list_folders(files: Any, path: str) -> list[str]:
    entries = files.ls(path, detail=True)
    return sorted(_get_name(entry["name"]) for entry in entries if entry["type"] == "directory")


def _list_files(files: Any, path: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """List an attempt's files: those that Headrace wrote, and the others."""
    entries = [entry for entry in files.ls(path, detail=True) if entry["type"] == "file"]
    own = [entry for entry in entries if _is_own(_get_name(entry["name"]))]
    return own, [entry for entry in entries if entry not in own]


def _is_own(name: str) -> bool:
    return bool(_OWN.match(name) or SHARD_NAME.match(name))


def _get_name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _get_time(files: Any, entry: dict[str, Any]) -> datetime:
    modified: datetime = files.modified(entry["name"])
    return modified if modified.tzinfo else modified.replace(tzinfo=UTC)
