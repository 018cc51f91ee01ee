"""Commit a new set of files to a Delta table, and establish the outcome of the commit.

The commit is what makes a version of a dataset or of predictions visible. Writing the files, and
the records beside them, is left to `commit.py` and `predictions.py`.
"""

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from headrace.columns.dataset_columns import name_passthrough_column
from headrace.errors import ConflictError, DamagedError, DatasetError
from headrace.lake.file_statistics import build_statistics
from headrace.lake.log_checkpoint import checkpoint_log
from headrace.lake.newest_table import open_newest_table
from headrace.lake.sidecar import locate_sidecar
from headrace.lake.storage import (
    CONCURRENT_REQUESTS,
    build_delta_options,
    describe_error,
    explain_storage_errors,
    open_delta_table,
    open_filesystem,
)
from headrace.lake.version import read_commit


@dataclass(frozen=True)
class Commit:
    """The metadata of a commit, beside its files.

    Attributes:
        base: the version that was the newest when the work began; None for a new table. Another
            commit since is a conflict.
        key, build_id: metadata of the commit that says which build or job made it.
        app_id: application id of the Delta transaction; the version that is committed is noted
            under it, so that it is found again without the history.
        schema: schema of the table, partition columns included.
        partition_by: partition columns.
        partition_values: path of a file that is removed -> its values of the partition columns.
        data_change: whether rows change, and not only the files that they are in: who follows the
            table as a stream reads the rows of the added files only where they do.
    """

    base: int | None
    key: str
    build_id: str
    app_id: str
    schema: Schema
    partition_by: tuple[str, ...]
    partition_values: Callable[[str], Mapping[str, str | None]]
    data_change: bool = True


def format_app_id(app: str, build_id: str) -> str:
    """Return the application id of the Delta transaction that makes a commit idempotent.

    Args:
        app: tells commits of builds from those of scoring jobs.
        build_id: of the build or job, or the idempotency id under which it is published.
    """
    return f"{app}:{build_id}"


def make_add_action(
    path: str, size: int, *, rows: int, partition_values: Mapping[str, str | None]
) -> AddAction:
    """Make the action that adds a file to a table.

    Args:
        path: of the file, relative to the table's root.
        size: in bytes.
        rows: of the file.
        partition_values: partition column -> value of the file's rows.
    """
    return AddAction(
        path=path,
        size=size,
        partition_values=dict(partition_values),
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps({"numRecords": rows}),
    )


def commit_files(root: str, files: Mapping[str, AddAction], commit: Commit) -> None:
    """Commit exactly these files as the table's, and remove all others that it has.

    Args:
        root: the table's folder or URL.
        files: path below the root -> action that adds it; files of the base stay as they are.
        commit: metadata of the commit.

    Raises:
        DeltaError, OSError: the commit was refused, or its outcome is unknown.
    """
    properties = CommitProperties(
        custom_metadata={commit.key: commit.build_id},
        max_commit_retries=0,
        app_transactions=[Transaction(commit.app_id, _count_version(commit.base))],
    )
    hooks = PostCommitHookProperties(cleanup_expired_logs=False)  # old versions stay readable
    if commit.base is None:
        create_table_with_add_actions(
            root,
            commit.schema,
            _add_statistics(root, list(files.values())),
            mode="error",
            partition_by=list(commit.partition_by),
            storage_options=build_delta_options(root),
            commit_properties=properties,
            post_commithook_properties=hooks,
        )
        return
    table = open_delta_table(root, commit.base)
    old_paths = {str(path) for path in table.get_add_actions(flatten=True)["path"].to_pylist()}
    shared_paths = old_paths & files.keys()
    added = [action for path, action in files.items() if path not in shared_paths]
    actions: list[AddAction | RemoveAction] = [
        replace(action, data_change=commit.data_change) for action in _add_statistics(root, added)
    ]
    # An overwrite would remove these as well, and say of all that rows change.
    is_append = bool(shared_paths) or not commit.data_change
    if is_append:
        now = int(time.time() * 1000)
        actions += [
            RemoveAction(path, commit.data_change, now, None, dict(commit.partition_values(path)))
            for path in sorted(old_paths - shared_paths)
        ]
    table.create_write_transaction(
        actions,
        mode="append" if is_append else "overwrite",
        schema=commit.schema,
        partition_by=list(commit.partition_by),
        commit_properties=properties,
        post_commithook_properties=hooks,
    )


def _add_statistics(root: str, actions: list[AddAction]) -> list[AddAction]:
    """Return actions with the statistics of their files' columns; none of a file that cannot be
    read, as its reader says why."""
    filesystem, base = open_filesystem(root)

    def add(action: AddAction) -> AddAction:
        try:
            with filesystem.open(f"{base}/{action.path}", "rb") as stream:
                footer = pq.read_metadata(stream)
        except (OSError, pa.ArrowInvalid):
            return action
        names = footer.schema.to_arrow_schema().names
        kept = [name for name in names if name.startswith(name_passthrough_column(""))]
        return replace(action, stats=build_statistics(footer, kept))

    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        return list(pool.map(add, actions))


def publish_files(
    root: str, files: Mapping[str, AddAction], commit: Commit, table_label: str, noun: str
) -> int:
    """Commit, and establish whether the commit succeeded; returns the new version.

    Args:
        root, files, commit: see `commit_files`.
        table_label: name of the table in messages, for example "dataset s3://…".
        noun: the committer in messages: "build" or "job".

    Raises:
        ConflictError: another one was committed meanwhile; nothing of this one is visible.
        DatasetError: the commit failed and nothing is visible, or its outcome is unknown.
    """
    subject = f"{table_label}: the commit of {noun} {commit.build_id}"
    try:
        commit_files(root, files, commit)
    except (DeltaError, OSError) as error:
        try:
            with explain_storage_errors(root):
                version = find_committed_version(
                    root, commit.key, commit.build_id, _count_version(commit.base)
                )
        except DatasetError as unknown:
            raise DatasetError(
                f"{subject} got no answer ({describe_error(error)}), and whether it was published "
                f"cannot be determined ({unknown}). Run the {noun} again: if it was published, "
                "nothing is left to do"
            ) from error
        if version is not None:  # the error came after the commit
            return version
        if _is_conflict(root, commit.base, error):
            raise ConflictError(
                f"{subject} was refused: {describe_error(error)}. Another {noun} was published "
                "since this one began. Nothing of this one is visible; run it again"
            ) from error
        raise DatasetError(
            f"{subject} failed: {describe_error(error)}. Nothing of it is visible; run the {noun} "
            "again"
        ) from error
    with explain_storage_errors(root):
        version = find_committed_version(
            root, commit.key, commit.build_id, _count_version(commit.base)
        )
    if version is None:
        raise ConflictError(
            f"{table_label}: {noun} {commit.build_id} was committed and cannot be found in the "
            "table's history; another program replaced the table meanwhile"
        )
    checkpoint_log(root, version)
    return version


def _count_version(base: int | None) -> int:
    """Return the version that a commit on a base makes."""
    return 0 if base is None else base + 1


def find_committed_version(root: str, key: str, build_id: str, since: int = 0) -> int | None:
    """Find the version whose commit has `build_id` under `key`; None where there is none.

    Args:
        root: the table's folder or URL.
        key, build_id: see `Commit`.
        since: the first version that can be it; no commit before is read.

    Raises:
        DamagedError: the log does not have all commits since then.
    """
    table = open_newest_table(root)
    newest = -1 if table is None else int(table.version())
    for version in range(newest, since - 1, -1):
        commit = read_commit(root, version)
        if commit is None:
            raise DamagedError(
                f"{root}: its _delta_log does not have version {version} any more, so it cannot be "
                f"told whether {build_id} was committed then"
            )
        if commit.get(key) == build_id:
            return version
    return None


def is_committed(root: str, key: str, build_id: str, record_file: str) -> bool:
    """Return whether a build or job that failed may have been committed after all.

    Args:
        root: the table's folder or URL.
        key, build_id: see `Commit`.
        record_file: name of its record, which is written before the commit and says its base.
    """
    filesystem, path = open_filesystem(f"{locate_sidecar(root, build_id)}/{record_file}")
    if not filesystem.exists(path):
        return False
    try:
        base = json.loads(filesystem.cat_file(path)).get("base")
    except (ValueError, AttributeError):  # a part of it: the commit did not begin
        return False
    since = _count_version(base if isinstance(base, int) else None)
    return find_committed_version(root, key, build_id, since) is not None


def find_noted_version(root: str, app_id: str) -> int | None:
    """Find the version that was noted under an application id; None where there is none.

    One that an older Headrace committed is noted as 1, whichever it is.
    """
    table = open_newest_table(root)
    return None if table is None else table.transaction_version(app_id)


def check_file_sizes(root: str, expected: Mapping[str, int], table_label: str) -> None:
    """Check that the driver sees the files as their writers wrote them.

    Args:
        root: the table's folder or URL.
        expected: path below the root -> bytes.
        table_label: name of the table in messages.

    Raises:
        DatasetError: a file is missing, or has another size.
    """
    filesystem, base = open_filesystem(root)

    def read_size(path: str) -> int | None:
        try:
            return int(filesystem.info(f"{base}/{path}")["size"])
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        sizes = list(pool.map(read_size, expected))
    for path, size in zip(expected, sizes, strict=True):
        if size != expected[path]:
            state = "is missing here" if size is None else f"has {size} bytes here"
            raise DatasetError(
                f"{table_label}: {path} {state}, its writer wrote {expected[path]} bytes. Nothing "
                "was published. The folder must be one that the driver and every executor share"
            )


def _is_conflict(root: str, base: int | None, error: Exception) -> bool:
    """Return whether a commit failed because another one was first."""
    if isinstance(error, CommitFailedError):
        return True
    try:
        return bool(open_delta_table(root).version() != base)
    except DeltaError:
        return False
