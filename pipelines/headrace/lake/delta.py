"""One Delta commit that puts files in the place of others: what makes a version visible."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from deltalake import CommitProperties, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from headrace.errors import ConflictError, DatasetError
from headrace.lake.storage import delta_options, delta_table, open_files, reaching, said
from headrace.lake.version import newest_table

_AT_ONCE = 16  # requests to the store


@dataclass(frozen=True)
class Commit:
    """What is committed beside the files.

    Attributes:
        base: the version that was the newest when the work began; None for a new table. Another
            commit since is a conflict.
        key, build_id: metadata of the commit that names who made it.
        app_id: of the Delta transaction, which happens once.
        schema: of the table, partition columns included.
        partition_by: partition columns.
        values_of: their values of a file that is removed, by its path.
    """

    base: int | None
    key: str
    build_id: str
    app_id: str
    schema: Schema
    partition_by: tuple[str, ...]
    values_of: Callable[[str], Mapping[str, str | None]]


def commit_files(root: str, files: Mapping[str, AddAction], commit: Commit) -> None:
    """Make these files the table's, and remove all others that it has.

    Args:
        root: the table's folder or URL.
        files: by path below the root; those that the base has are kept as they are.
        commit: see there.

    Raises:
        DeltaError, OSError: it was refused, or nobody knows.
    """
    properties = CommitProperties(
        custom_metadata={commit.key: commit.build_id},
        max_commit_retries=0,
        app_transactions=[Transaction(commit.app_id, 1)],
    )
    hooks = PostCommitHookProperties(cleanup_expired_logs=False)  # old versions stay readable
    if commit.base is None:
        create_table_with_add_actions(
            root,
            commit.schema,
            list(files.values()),
            mode="error",
            partition_by=list(commit.partition_by),
            storage_options=delta_options(root),
            commit_properties=properties,
            post_commithook_properties=hooks,
        )
        return
    table = delta_table(root, commit.base)
    there = {str(path) for path in table.get_add_actions(flatten=True)["path"].to_pylist()}
    kept = there & files.keys()
    actions: list[AddAction | RemoveAction] = [
        action for path, action in files.items() if path not in kept
    ]
    if kept:  # an overwrite would remove what is kept
        now = int(time.time() * 1000)
        actions += [
            RemoveAction(path, True, now, None, dict(commit.values_of(path)))
            for path in sorted(there - kept)
        ]
    table.create_write_transaction(
        actions,
        mode="append" if kept else "overwrite",
        schema=commit.schema,
        partition_by=list(commit.partition_by),
        commit_properties=properties,
        post_commithook_properties=hooks,
    )


def publish_files(
    root: str, files: Mapping[str, AddAction], commit: Commit, what: str, noun: str
) -> int:
    """Commit, and say for sure what became of it; returns the new version.

    Args:
        root, files, commit: see `commit_files`.
        what: for people, for example "dataset s3://…".
        noun: what commits: build, or job.

    Raises:
        ConflictError: another one was committed meanwhile; nothing of this one is visible.
        DatasetError: it failed, and nothing is visible; or nobody knows.
    """
    named = f"{what}: the commit of {noun} {commit.build_id}"
    try:
        commit_files(root, files, commit)
    except (DeltaError, OSError) as error:
        try:
            with reaching(root):
                version = committed_version(root, commit.key, commit.build_id)
        except DatasetError as silence:
            raise DatasetError(
                f"{named} got no answer ({said(error)}), and neither did the question whether it "
                f"was published ({silence}). Run the {noun} again: where it was, nothing is left "
                "to do"
            ) from error
        if version is not None:  # the error came after the commit
            return version
        if _lost(root, commit.base, error):
            raise ConflictError(
                f"{named} was refused: {said(error)}. Another {noun} was published since this one "
                "began. Nothing of this one is visible; run it again"
            ) from error
        raise DatasetError(
            f"{named} failed: {said(error)}. Nothing of it is visible; run the {noun} again"
        ) from error
    with reaching(root):
        version = committed_version(root, commit.key, commit.build_id)
    if version is None:
        raise ConflictError(
            f"{what}: {noun} {commit.build_id} was committed and cannot be found in the table's "
            "history; another program replaced the table meanwhile"
        )
    return version


def committed_version(root: str, key: str, build_id: str) -> int | None:
    """The version whose commit names `build_id` under `key`, or `None`."""
    table = newest_table(root)
    if table is None:
        return None
    return next((int(c["version"]) for c in table.history() if c.get(key) == build_id), None)


def check_files(root: str, expected: Mapping[str, int], what: str) -> None:
    """Whether files are where their writers wrote them.

    Args:
        root: of the table.
        expected: path below the root -> bytes.
        what: for people.

    Raises:
        DatasetError: one is missing, or of another size.
    """
    files, base = open_files(root)

    def size(path: str) -> int | None:
        try:
            return int(files.info(f"{base}/{path}")["size"])
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sizes = list(pool.map(size, expected))
    for path, found in zip(expected, sizes, strict=True):
        if found != expected[path]:
            raise DatasetError(
                f"{what}: {path} has {found} bytes here, its writer wrote {expected[path]}. "
                "Nothing was published. The folder must be one that the driver and every executor "
                "share"
            )


def _lost(root: str, base: int | None, error: Exception) -> bool:
    """Whether a commit failed because another one came first."""
    if isinstance(error, CommitFailedError):
        return True
    try:
        return bool(delta_table(root).version() != base)
    except DeltaError:
        return False
