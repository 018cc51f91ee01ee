"""Tell tables whose files are named by a log, and read the log: their folder holds other files too.

A Delta table's folder has files of earlier versions, and that of a Spark streaming sink files that
were never committed. Read as a folder, both give rows that the table does not have. Hudi tables are
told and left to those who can read them.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from headrace.extras import require_extras
from headrace.lake.delta_log import read_delta_log
from headrace.lake.iceberg_log import read_iceberg_log
from headrace.lake.logged_files import LogKind, TableLog
from headrace.lake.sink_log import read_sink_log
from headrace.lake.snapshot import Snapshot
from headrace.lake.walk import Walk, find_info, list_folder

KIND_NAMES: Mapping[LogKind, str] = {
    "delta": "a Delta table",
    "sink": "the sink of a Spark streaming query",
    "iceberg": "an Iceberg table",
    "hudi": "a Hudi table",
}
# Folders that only such tables have.
_LOG_FOLDERS: Mapping[str, LogKind] = {
    "_delta_log": "delta", "_spark_metadata": "sink", ".hoodie": "hudi"
}  # fmt: skip
_ICEBERG_METADATA = re.compile(r"(v\d+|\d+-.*)(\.gz)?\.metadata\.json|version-hint\.text")


def find_log_kind(filesystem: Any, folder: str) -> LogKind | None:
    """Tell the kind of table that a folder is; None where it is a folder of files.

    Raises:
        OSError: it cannot be listed; or an error of the store.
    """
    names = {path.rpartition("/")[2]: path for path in list_folder(filesystem, folder)}
    for name, kind in _LOG_FOLDERS.items():
        if name in names:
            return kind
    return "iceberg" if "metadata" in names and _has_iceberg_metadata(filesystem, folder) else None


def _has_iceberg_metadata(filesystem: Any, folder: str) -> bool:
    """Return whether a folder that has one named `metadata` is an Iceberg table."""
    paths = list_folder(filesystem, f"{folder.rstrip('/')}/metadata")
    return any(_ICEBERG_METADATA.fullmatch(path.rpartition("/")[2]) for path in paths)


def find_enclosing_table(filesystem: Any, path: str) -> tuple[LogKind, str] | None:
    """Find the table with a log that a path is inside of: its kind and folder."""
    for parent in PurePosixPath(path).parents:
        folder = str(parent)
        if folder in ("/", "."):
            break
        for name, kind in _LOG_FOLDERS.items():
            if find_info(filesystem, f"{folder}/{name}") is not None:
                return kind, folder
        metadata = find_info(filesystem, f"{folder}/metadata")
        is_folder = metadata is not None and metadata["type"] == "directory"
        if is_folder and _has_iceberg_metadata(filesystem, folder):
            return "iceberg", folder
    return None


def find_nested_table(walk: Walk) -> tuple[LogKind, str] | None:
    """Find a table with a log among the paths of a walk: its kind and folder."""
    for path in walk.skipped:
        folder, _, name = path.rpartition("/")
        if name in _LOG_FOLDERS:
            return _LOG_FOLDERS[name], folder
    for file in walk.files:
        folder, _, name = file.path.rpartition("/")
        if folder.endswith("/metadata") and _ICEBERG_METADATA.fullmatch(name):
            return "iceberg", folder.removesuffix("/metadata")
    return None


def describe_part(where: str, found: tuple[LogKind, str]) -> str:
    """Describe why a path is not read that has files of a table with a log.

    Args:
        where: the path.
        found: of `find_enclosing_table` or `find_nested_table`.
    """
    kind, folder = found
    return (
        f"{where} has files of {KIND_NAMES[kind]}, {folder}, and not all of them hold rows that "
        "the table has now: name that folder"
    )


def read_table_log(
    filesystem: Any,
    root: str,
    base: str,
    kind: LogKind,
    *,
    metadata: str | None = None,
    as_of: int | str | None = None,
    since: Snapshot | None = None,
) -> TableLog:
    """Read which files a table has.

    Args:
        filesystem, base: of the table's folder.
        root: the folder as a path or URL.
        kind: not "hudi".
        metadata: the current metadata file of an Iceberg table; None where its hint names it.
        as_of: of a Delta or Iceberg table, the version or time to read; None for the newest.
        since: a snapshot that was read before; what was done to the files since is read as well.

    Raises:
        LakeError: the log cannot be read, or the table has a feature that is not supported.
        ExtraError: what reads Iceberg's metadata is not installed.
    """
    if kind == "delta":
        return read_delta_log(filesystem, root, base, as_of=as_of, since=since)
    if kind == "iceberg":
        require_extras(["iceberg"])
        return read_iceberg_log(filesystem, root, base, metadata=metadata, as_of=as_of, since=since)
    return read_sink_log(filesystem, root, base)
