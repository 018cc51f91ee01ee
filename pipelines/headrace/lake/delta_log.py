"""Read which files a Delta table has, at its newest version or an earlier one, and what its commits
did to them; no JAR is needed."""

import json
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from headrace.errors import LakeError
from headrace.lake.logged_files import LoggedFile, TableLog, UnreadFeatureError, strip_root
from headrace.lake.snapshot import Rewrite, Snapshot, TableCommit
from headrace.lake.storage import (
    CONCURRENT_REQUESTS,
    describe_error,
    explain_table_errors,
    open_delta_table,
)
from headrace.lake.walk import WalkedFile
from headrace.recipe.times import parse_time_to_micros
from headrace.redaction import redact_text

# Features of a reader that change neither which files a table has nor what their columns mean.
_READ_FEATURES = {"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", "inCommitTimestamp"}


def read_delta_log(
    filesystem: Any,
    root: str,
    base: str,
    *,
    as_of: int | str | None = None,
    since: Snapshot | None = None,
) -> TableLog:
    """Read which files a Delta table has.

    Args:
        filesystem, base: of the table's folder.
        root: the folder as a path or URL.
        as_of: a version, or an ISO 8601 time whose newest version is meant (UTC where it names no
            zone); None for the newest of all.
        since: a snapshot that was read before; what the commits after it did is read as well.

    Raises:
        LakeError: the log cannot be read, there is no such version, or the table has a feature that
            is not supported.
    """
    from deltalake.exceptions import DeltaError

    with explain_table_errors(root):
        try:
            table = _open_version(root, as_of)
        except DeltaError as error:
            at = "" if as_of is None else f" at {as_of}"
            raise LakeError(
                f"{redact_text(root)} is a Delta table whose log cannot be read{at}: "
                f"{describe_error(error)}"
            ) from None
        _refuse_unknown_features(root, table)
        columns = pa.table(table.get_add_actions(flatten=True)).to_pydict()
        metadata = table.metadata()
        partition_columns = tuple(metadata.partition_columns)
        _refuse_bytes(root, columns, partition_columns)
        schema = table.schema().to_json()
        files = []
        for i, text in enumerate(columns["path"]):
            values = {c: _get_partition_value(columns, c, i) for c in partition_columns}
            name = strip_root(unquote(text), base)
            path = name if name.startswith("/") or "://" in name else f"{base}/{name}"
            changed = str(columns["modification_time"][i])
            file = WalkedFile(path, columns["size_bytes"][i], changed)
            files.append(LoggedFile(file, name, values))
        snapshot = Snapshot(table_id=str(metadata.id), version=table.version())
        commits = _read_commits(filesystem, base, since, snapshot)
    return TableLog("delta", tuple(files), snapshot, partition_columns, schema, commits)


def _open_version(root: str, as_of: int | str | None) -> Any:
    if as_of is None or isinstance(as_of, int):
        return open_delta_table(root, as_of)
    milliseconds = parse_time_to_micros(as_of) / 1000
    # By the times that the commits say. delta-rs goes by those of the log's files, which a copy has
    # anew, and takes the oldest version where there is none.
    history = open_delta_table(root).history()
    times = {int(c["version"]): int(c["timestamp"]) for c in history if "timestamp" in c}
    chosen = [version for version, at in times.items() if at <= milliseconds]
    if not chosen:
        oldest = min(times, default=0)
        first = datetime.fromtimestamp(times.get(oldest, 0) / 1000, UTC)
        raise LakeError(
            f"{redact_text(root)} is a Delta table that has no version at {as_of}: the oldest that "
            f"its log has is {oldest}, of {first.isoformat(timespec='seconds')}"
        )
    return open_delta_table(root, max(chosen))


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
    raise UnreadFeatureError(
        f"{redact_text(root)} is a Delta table with {named}, which its files alone do not obey. "
        "Read it by Spark with Delta's JAR (source.tables.….format: delta), or write it once more "
        "without them"
    )


def _refuse_bytes(
    root: str, columns: Mapping[str, list[Any]], partition_columns: tuple[str, ...]
) -> None:
    """Refuse a table that is partitioned by bytes: writers spell them in ways of their own."""
    for column in partition_columns:
        if any(isinstance(value, bytes) for value in columns[f"partition.{column}"]):
            raise UnreadFeatureError(
                f"{redact_text(root)} is a Delta table that is partitioned by bytes ({column}), "
                "which its log spells as text. Read it by Spark with Delta's JAR "
                "(source.tables.….format: delta), or partition it by a text"
            )


def _get_partition_value(
    columns: Mapping[str, list[Any]], column: str, position: int
) -> str | None:
    value = columns[f"partition.{column}"][position]
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read_commits(
    filesystem: Any, base: str, since: Snapshot | None, snapshot: Snapshot
) -> tuple[TableCommit, ...]:
    """Read the commits between two snapshots; none where they are not all there any more."""
    if since is None or since.table_id != snapshot.table_id or since.version >= snapshot.version:
        return ()

    def read_commit(version: int) -> TableCommit | None:
        try:
            text = filesystem.cat_file(f"{base}/_delta_log/{version:020d}.json")
        except FileNotFoundError:
            return None
        actions = [json.loads(line) for line in text.decode().splitlines() if line.strip()]
        return _parse_commit(actions, base)

    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        versions = range(since.version + 1, snapshot.version + 1)
        commits = list(pool.map(read_commit, versions))
    known = tuple(commit for commit in commits if commit is not None)
    return known if len(known) == len(commits) else ()


def _parse_commit(actions: list[Mapping[str, Any]], base: str) -> TableCommit:
    """Tell the rows that a commit changed from those that it only wrote into other files.

    The latter come from files of the same commit, of the same values of partition columns.
    """
    changed: dict[str, set[str]] = {"add": set(), "remove": set()}
    kept: dict[str, dict[str, object]] = {"add": {}, "remove": {}}
    for action in actions:
        for kind in ("add", "remove"):
            if kind not in action:
                continue
            file = action[kind]
            name = strip_root(unquote(file["path"]), base)
            if file.get("dataChange", True):
                changed[kind].add(name)
            else:
                values = file.get("partitionValues")
                kept[kind][name] = frozenset(values.items()) if values is not None else None
    if None in kept["remove"].values():  # a writer need not repeat them
        kept = {kind: dict.fromkeys(files) for kind, files in kept.items()}
    groups: dict[object, dict[str, set[str]]] = defaultdict(lambda: {"add": set(), "remove": set()})
    for kind, files in kept.items():
        for name, group in files.items():
            groups[group][kind].add(name)
    rewrites = []
    for parts in groups.values():
        added, removed = frozenset(parts["add"]), frozenset(parts["remove"])
        if not removed:  # the same files once more, with other statistics
            rewrites += [Rewrite(frozenset([name]), frozenset([name])) for name in added]
        else:
            rewrites.append(Rewrite(removed, added))
    return TableCommit(frozenset(changed["add"]), frozenset(changed["remove"]), tuple(rewrites))
