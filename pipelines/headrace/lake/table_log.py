"""Tell tables whose files are named by a log, and read the log: their folder holds other files too.

A Delta table's folder has files of earlier versions, and that of a Spark streaming sink files that
were never committed. Read as a folder, both give rows that the table does not have. Iceberg and
Hudi tables are told and left to those who can read them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote

import pyarrow as pa

from headrace.errors import LakeError
from headrace.lake.storage import describe_error, explain_table_errors, open_delta_table
from headrace.lake.walk import WalkedFile, find_info, list_folder, make_walked_file
from headrace.redaction import redact_text

LogKind = Literal["delta", "sink", "iceberg", "hudi"]
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
# Features of a reader that change neither which files a table has nor what their columns mean.
_READ_FEATURES = {"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", "inCommitTimestamp"}
_ICEBERG_METADATA = re.compile(r"(v\d+|\d+-.*)(\.gz)?\.metadata\.json|version-hint\.text")
_COMPACT_SUFFIX = ".compact"


@dataclass(frozen=True)
class LoggedFile:
    """A file of a table, as its log names it.

    Attributes:
        file: where it is.
        name: its path below the table's folder; its whole path where it is elsewhere.
        values: partition column -> text, None for null; empty where only folders tell them.
    """

    file: WalkedFile
    name: str
    values: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class TableLog:
    """What a log says of a table.

    Attributes:
        kind: of the table.
        files: those of the newest version.
        version: of the table; the last committed batch of a sink.
        partition_columns: in their order, where the log tells them.
        schema: Spark's JSON of the table's columns; empty where only the files tell them.
    """

    kind: LogKind
    files: tuple[LoggedFile, ...]
    version: int
    partition_columns: tuple[str, ...] = ()
    schema: str = ""


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


def find_nested_table(skipped: list[str]) -> tuple[LogKind, str] | None:
    """Find a table with a log among the paths that a walk skipped: its kind and folder."""
    for path in skipped:
        folder, _, name = path.rpartition("/")
        if name in _LOG_FOLDERS:
            return _LOG_FOLDERS[name], folder
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


def read_table_log(filesystem: Any, root: str, base: str, kind: LogKind) -> TableLog:
    """Read which files a table has.

    Args:
        filesystem, base: of the table's folder.
        root: the folder as a path or URL.
        kind: "delta" or "sink".

    Raises:
        LakeError: the log cannot be read, or the table has a feature that is not supported.
    """
    return _read_delta_log(filesystem, root, base) if kind == "delta" else _read_sink_log(
        filesystem, root, base
    )  # fmt: skip


def _read_delta_log(filesystem: Any, root: str, base: str) -> TableLog:
    from deltalake.exceptions import DeltaError

    with explain_table_errors(root):
        try:
            table = open_delta_table(root)
        except DeltaError as error:
            raise LakeError(
                f"{redact_text(root)} is a Delta table whose log cannot be read: "
                f"{describe_error(error)}"
            ) from None
        _refuse_unknown_features(root, table)
        columns = pa.table(table.get_add_actions(flatten=True)).to_pydict()
        partition_columns = tuple(table.metadata().partition_columns)
        schema = table.schema().to_json()
        files = []
        for i, text in enumerate(columns["path"]):
            values = {c: _get_partition_value(columns, c, i) for c in partition_columns}
            name = _strip_root(unquote(text), base)
            path = name if name.startswith("/") or "://" in name else f"{base}/{name}"
            changed = str(columns["modification_time"][i])
            file = WalkedFile(path, columns["size_bytes"][i], changed)
            files.append(LoggedFile(file, name, values))
    return TableLog("delta", tuple(files), table.version(), partition_columns, schema)


def _refuse_unknown_features(root: str, table: Any) -> None:
    """Refuse a table with features that decide which rows or values its files have."""
    protocol = table.protocol()
    features = set(protocol.reader_features or ())
    if protocol.min_reader_version == 2:
        features.add("columnMapping")
    unknown = sorted(features - _READ_FEATURES)
    if not unknown and protocol.min_reader_version <= 3:
        return
    named = f"the reader features {', '.join(unknown)}" if unknown else (
        f"reader version {protocol.min_reader_version}"
    )  # fmt: skip
    raise LakeError(
        f"{redact_text(root)} is a Delta table with {named}, which its files alone do not obey. "
        "Read it by Spark with Delta's JAR (source.tables.….format: delta), or write it once more "
        "without them"
    )


def _get_partition_value(
    columns: Mapping[str, list[Any]], column: str, position: int
) -> str | None:
    value = columns[f"partition.{column}"][position]
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read_sink_log(filesystem: Any, root: str, base: str) -> TableLog:
    """Read the log of a sink: one file a batch, and every tenth has those before it as well."""
    with explain_table_errors(root):
        paths = list_folder(filesystem, f"{base}/_spark_metadata")
        batches = {
            int(name.removesuffix(_COMPACT_SUFFIX)): path
            for path in sorted(paths)
            if (name := path.rpartition("/")[2]).removesuffix(_COMPACT_SUFFIX).isdigit()
        }
        compacted = [b for b, path in batches.items() if path.endswith(_COMPACT_SUFFIX)]
        first = max(compacted, default=0)
        chosen = sorted(batch for batch in batches if batch >= first)
        if chosen != list(range(first, first + len(chosen))):
            raise LakeError(f"{redact_text(root)}/_spark_metadata lacks batches between others")
        entries: dict[str, None] = {}
        for batch in chosen:
            for entry in _read_batch(filesystem, batches[batch]):
                if entry["action"] == "delete":
                    entries.pop(entry["path"], None)
                else:
                    entries[entry["path"]] = None
        files = []
        for url in entries:
            path = _strip_scheme(unquote(url), filesystem)
            info = find_info(filesystem, path)
            if info is None:
                raise LakeError(
                    f"{url} is not there, and the log of the streaming sink {redact_text(root)} "
                    "names it; restore it, or have the query write its sink anew"
                )
            files.append(LoggedFile(make_walked_file(path, info), _strip_root(path, base)))
    return TableLog("sink", tuple(files), max(batches, default=-1))


def _read_batch(filesystem: Any, path: str) -> list[dict[str, Any]]:
    with filesystem.open(path, "rb") as stream:
        version, *lines = stream.read().decode().splitlines()
    if version != "v1":
        raise LakeError(f"{path} is of version {version[:20]!r}, and v1 is known; read it by Spark")
    return [json.loads(line) for line in lines if line]


def _strip_scheme(url: str, filesystem: Any) -> str:
    scheme, separator, rest = url.partition(":")
    if scheme == "file":
        return "/" + rest.lstrip("/")
    return str(filesystem._strip_protocol(url)) if separator else url


def _strip_root(path: str, base: str) -> str:
    """Return a path below the table's folder where it is there."""
    if path.startswith("file:"):
        path = "/" + path.removeprefix("file:").lstrip("/")
    return path.removeprefix(f"{base}/")
