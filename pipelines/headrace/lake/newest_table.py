"""Open the newest version of a Delta table, and again only where another one was committed since.

A night asks some ten times what is newest: its lock, its base, its conflicts, its records. To open
a table is to read the whole list of its live files; to list its log is one request.
"""

import re
import threading

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from headrace.errors import DatasetError
from headrace.lake.storage import (
    build_delta_options,
    describe_error,
    open_delta_table,
    open_filesystem,
)
from headrace.redaction import redact_text

_COMMIT = re.compile(r"(\d{20})\.json")
# Of tables with a larger log nothing is kept: their lists of files take memory.
_MOST_LOG_BYTES = 64 * 2**20
_MOST_TABLES = 4
# What tells a file from another one of its name, by store.
_MARKS = ("size", "mtime", "created", "ino", "LastModified", "ETag", "etag", "updated", "md5Hash")

_Mark = tuple[tuple[str, ...], ...]
_opened: dict[str, tuple[_Mark, DeltaTable]] = {}
_lock = threading.Lock()


def open_newest_table(root: str) -> DeltaTable | None:
    """Open the Delta table at its newest version, whoever wrote it; None where there is no table.

    The object may be that of an earlier call: it must not be changed, by committing through it.

    Raises:
        DatasetError: the table's log is damaged.
        UnreachableError: the store does not answer.
    """
    mark = _mark_log(root)
    with _lock:
        known = _opened.get(root)
    if known and mark is not None and known[0] == mark:
        return known[1]
    table = _open_newest_table(root)
    with _lock:
        _opened.pop(root, None)
        # A commit between the listing and the opening has a mark of its own.
        if table is not None and mark is not None and _find_version(mark) == table.version():
            _opened[root] = (mark, table)
            while len(_opened) > _MOST_TABLES:
                del _opened[next(iter(_opened))]
    return table


def _open_newest_table(root: str) -> DeltaTable | None:
    try:
        return open_delta_table(root)
    except TableNotFoundError:
        return None
    except DeltaError as error:
        raise DatasetError(
            f"dataset {redact_text(root)}: its _delta_log is damaged: {describe_error(error)}; "
            "restore it from a backup"
        ) from None


def _mark_log(root: str) -> _Mark | None:
    """Return what tells a table's log from every other one; None where that cannot be told.

    It describes the store and all files of the log: one that is damaged, or that of a table that
    was removed and written anew at the same place, is another one, too.
    """
    # With other credentials, or at another endpoint, there may be another table, or none to see.
    options = build_delta_options(root) or {}
    filesystem, base = open_filesystem(root)
    try:
        listed = filesystem.ls(f"{base}/_delta_log", detail=True)
    except Exception:  # of any store, or a URL that it does not take: opening the table will tell
        return None
    if sum(item.get("size") or 0 for item in listed) > _MOST_LOG_BYTES:
        return None
    mark = sorted(
        (str(item["name"]), *(str(item[key]) for key in _MARKS if item.get(key) is not None))
        for item in listed
        if item.get("type") == "file"
    )
    # A store that says no more than sizes does not tell when a file was replaced.
    if not mark or any(len(file) <= 2 for file in mark):
        return None
    return (*sorted(options.items()), *mark)


def _find_version(mark: _Mark) -> int:
    """Find the version of the newest commit that a log has; -1 where it has none."""
    found = (_COMMIT.fullmatch(file[0].rsplit("/", 1)[-1]) for file in mark)
    return max((int(match[1]) for match in found if match), default=-1)
