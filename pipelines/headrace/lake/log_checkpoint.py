"""Write checkpoints of a Delta log, so that who opens the table reads few commits.

delta-rs writes one with every hundredth commit. Whoever opens the table before reads up to a
hundred commits one by one, several times a night, which an object store answers by a request each.
A checkpoint has a row of each live file: one with every tenth commit where they are few, and with
fewer commits where they are many, costs a night some kilobytes, whatever the history.
"""

import json
from contextlib import suppress
from typing import Any

from deltalake.exceptions import DeltaError

from headrace.errors import HeadraceError
from headrace.lake.storage import open_delta_table, open_filesystem

LEAST_COMMITS, MOST_COMMITS = 10, 100
"""Commits between two checkpoints."""
_ACTIONS_PER_COMMIT = 64


def checkpoint_log(root: str, version: int) -> bool:
    """Write the checkpoint of a version that was committed, where one is due.

    A version is there whether its checkpoint is or not: where it cannot be written, nothing is
    said, and the next commit tries again.

    Args:
        root: the table's folder or URL.
        version: the one that was committed.

    Returns:
        whether it was written.
    """
    with suppress(DeltaError, OSError, HeadraceError):
        filesystem, base = open_filesystem(root)
        last, actions = _read_last(filesystem, f"{base}/_delta_log/_last_checkpoint")
        interval = min(max(actions // _ACTIONS_PER_COMMIT, LEAST_COMMITS), MOST_COMMITS)
        if version - last >= interval:
            open_delta_table(root, version).create_checkpoint()
            return True
    return False


def _read_last(filesystem: Any, path: str) -> tuple[int, int]:
    """Return the version of the newest checkpoint, and its actions; 0 and 0 where there is none,
    or what names it is damaged."""
    try:
        last = json.loads(filesystem.cat_file(path))
        return int(last["version"]), int(last["size"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0, 0
