"""Remove the part of a Delta log that no kept version needs: what lies before a checkpoint.

The checkpoint is the newest of those that no kept version is older than.

delta-rs' `cleanup_metadata` goes by the times of the log's files and by a property of the table,
whichever versions are kept; so this goes by versions, as Delta's protocol says it, and only
checkpoints are written by delta-rs.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from headrace.errors import DamagedError
from headrace.lake.damage import explain_damage, read_parquet
from headrace.lake.storage import explain_storage_errors, open_delta_table, open_filesystem
from headrace.lake.walk import list_folder

CHECKPOINT_INTERVAL = 100
"""Commits between two checkpoints, as delta-rs writes them by itself."""
_LOG = "_delta_log"
_FILE = re.compile(r"(?P<version>\d{20})\.(json|crc|checkpoint\..+|.+\.compacted\.json)")
_CHECKPOINT = re.compile(r"(?P<version>\d{20})\.checkpoint\.parquet")


@dataclass(frozen=True)
class LogCleanup:
    """What is to be removed of a log.

    Attributes:
        checkpoint: version of the checkpoint that takes its place; None where nothing goes.
        is_missing: whether that checkpoint has to be written first.
        files: paths below the root, the oldest version first.
    """

    checkpoint: int | None
    is_missing: bool
    files: tuple[str, ...]


def plan_log_cleanup(root: str, oldest: int, *, now: bool = False) -> LogCleanup:
    """Find what no version from `oldest` on needs.

    Args:
        root: the table's folder or URL.
        oldest: oldest version that has to stay.
        now: up to that version itself, also where a checkpoint has to be written for little.

    Raises:
        UnreachableError: the store does not answer.
        DamagedError: the log is damaged.
    """
    filesystem, base = open_filesystem(root)
    with explain_storage_errors(root):
        names = [path.rpartition("/")[2] for path in list_folder(filesystem, f"{base}/{_LOG}")]
        found = [match for name in names if (match := _CHECKPOINT.fullmatch(name))]
        checkpoints = [int(match["version"]) for match in found]
        newest = _read_last_checkpoint(filesystem, f"{base}/{_LOG}", root)
    # Readers start at the one that `_last_checkpoint` names: that one and those after it stay.
    usable = [v for v in checkpoints if v <= oldest and newest is not None and v <= newest]
    chosen = max(usable, default=0)
    is_missing = oldest > chosen if now else oldest - chosen > CHECKPOINT_INTERVAL
    if is_missing:
        chosen = oldest
    elif not usable:
        return LogCleanup(None, False, ())
    old = [(int(match["version"]), name) for name in names if (match := _FILE.fullmatch(name))]
    files = tuple(f"{_LOG}/{name}" for version, name in sorted(old) if version < chosen)
    return LogCleanup(chosen, is_missing, files) if files else LogCleanup(None, False, ())


def clean_log(root: str, plan: LogCleanup) -> None:
    """Remove what was planned, the oldest first: what is left is a log at every moment.

    Raises:
        DamagedError: the checkpoint cannot be read; nothing is removed.
        UnreachableError: the store does not answer.
    """
    if plan.checkpoint is None:
        return
    filesystem, base = open_filesystem(root)
    where = f"dataset {root}: the checkpoint of version {plan.checkpoint} in its _delta_log"
    with explain_storage_errors(root), explain_damage(where):
        if plan.is_missing:
            open_delta_table(root, plan.checkpoint).create_checkpoint()
        path = f"{base}/{_LOG}/{plan.checkpoint:020d}.checkpoint.parquet"
        table = read_parquet(bytes(filesystem.cat_file(path)), where, ["protocol", "metaData"])
        counts = [len(column) - column.null_count for column in table.columns]
        if counts != [1, 1]:
            raise DamagedError(
                f"{where} is no whole one: protocol and metadata are {counts[0]} and {counts[1]} "
                "times in it; nothing of the log is removed. Restore it from a backup"
            )
        for file in plan.files:
            with suppress(FileNotFoundError):
                filesystem.rm_file(f"{base}/{file}")


def _read_last_checkpoint(filesystem: Any, folder: str, root: str) -> int | None:
    """Read which checkpoint readers start at; None where there is none."""
    with explain_damage(f"dataset {root}: _last_checkpoint in its _delta_log"):
        try:
            return int(json.loads(filesystem.cat_file(f"{folder}/_last_checkpoint"))["version"])
        except FileNotFoundError:
            return None
