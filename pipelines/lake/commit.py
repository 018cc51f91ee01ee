"""Publish a build: sidecar first, then one Delta commit, which is the only visible step."""

import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from pipelines.errors import ConflictError, DamagedError, DatasetError, RemovedError
from pipelines.lake.build import Build, read_build, write_sidecar
from pipelines.lake.files import SPLITS, DataFile
from pipelines.lake.storage import delta_options, delta_table, open_files, reaching, said
from pipelines.lake.version import BUILD_KEY, newest_table

PARTITION = "split"
_AT_ONCE = 16  # requests to the store


def publish(
    root: str,
    build: Build,
    schema: pa.Schema,
    transform_json: str,
    texts: Mapping[str, str | bytes] | None = None,
) -> int:
    """Make `build` the newest version of the dataset at `root`.

    Args:
        root: the dataset's folder or URL; the first publish makes it a Delta table.
        build: what was built on `build.base`; its new files lie below `root` already, with the
            build id in their names, and its other files are the base version's.
        schema: of the files, without the `split` partition column.
        transform_json: the fitted transform.
        texts: further files of the sidecar, by name.

    Returns:
        the new Delta version.

    Raises:
        LedgerError: the ledger does not add up; nothing is visible.
        DatasetError: the table is not Headrace's, or a file is not where it should be.
        ConflictError: another build was committed meanwhile; nothing of this one is visible.
    """
    build.ledger.check()
    with reaching(root):
        require_ours(root)
        _check_files(root, [f for f in build.files if f"-{build.build_id}-" in f.path])
        write_sidecar(root, build, transform_json, texts)
    try:
        _commit(root, build, Schema.from_arrow(schema.append(pa.field(PARTITION, pa.string()))))
    except (DeltaError, OSError) as error:
        try:
            with reaching(root):
                version = committed_version(root, build.build_id)
        except DatasetError as silence:
            raise DatasetError(
                f"dataset {root}: the commit of build {build.build_id} got no answer "
                f"({said(error)}), and neither did the question whether it was published "
                f"({silence}). Run the build again: where it was, nothing is left to do"
            ) from error
        if version is not None:  # the error came after the commit
            return version
        if _lost(root, build, error):
            raise ConflictError(
                f"dataset {root}: the commit of build {build.build_id} was refused: {said(error)}. "
                "Another build was published since this one began. Nothing of this one is "
                "visible; run it again"
            ) from error
        raise DatasetError(
            f"dataset {root}: the commit of build {build.build_id} failed: {said(error)}. "
            "Nothing of it is visible; run the build again"
        ) from error
    with reaching(root):
        version = committed_version(root, build.build_id)
    if version is None:
        raise ConflictError(
            f"dataset {root}: build {build.build_id} was committed and cannot be found in the "
            "table's history; another program replaced the table meanwhile"
        )
    return version


def _commit(root: str, build: Build, schema: Schema) -> None:
    """The one visible step.

    Raises:
        DeltaError, OSError: it was refused, or nobody knows.
    """
    properties = CommitProperties(
        custom_metadata={BUILD_KEY: build.build_id},
        # The base is what this build compared the lake with: another commit since is a conflict.
        max_commit_retries=0,
        app_transactions=[Transaction(_app_id(build.given_id or build.build_id), 1)],
    )
    hooks = PostCommitHookProperties(cleanup_expired_logs=False)  # old versions stay readable
    if build.base is None:
        create_table_with_add_actions(
            root,
            schema,
            [_add(file) for file in build.files],
            mode="error",
            partition_by=[PARTITION],
            storage_options=delta_options(root),
            commit_properties=properties,
            post_commithook_properties=hooks,
        )
        return
    table = delta_table(root, build.base)
    there = set(_paths(table))
    kept = {file.path for file in build.files} & there
    actions: list[AddAction | RemoveAction] = [
        _add(file) for file in build.files if file.path not in kept
    ]
    if kept:  # an overwrite would remove what is kept
        actions += [_remove(path) for path in sorted(there - kept)]
    table.create_write_transaction(
        actions,
        mode="append" if kept else "overwrite",
        schema=schema,
        partition_by=[PARTITION],
        commit_properties=properties,
        post_commithook_properties=hooks,
    )


def published_version(root: str, given_id: str) -> int | None:
    """The version that was published under the id that a caller gave, or `None`."""
    table = newest_table(root)
    if table is None:
        return None
    if table.transaction_version(_app_id(given_id)) is None:
        return None
    for commit in table.history():
        try:
            build = read_build(root, str(commit.get(BUILD_KEY)))
        except (RemovedError, DamagedError):
            continue
        if build.given_id == given_id:
            return int(commit["version"])
    raise DatasetError(
        f"dataset {root}: a build was published as {given_id!r}, and its version was removed by "
        "`headrace vacuum`; choose another --build-id"
    )


def _app_id(build_id: str) -> str:
    return f"headrace:{build_id}"


def _add(file: DataFile) -> AddAction:
    return AddAction(
        path=file.path,
        size=file.bytes,
        partition_values={PARTITION: file.split},
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps({"numRecords": file.rows}),
    )


def _remove(path: str) -> RemoveAction:
    split = path.partition("/")[0].removeprefix(f"{PARTITION}=")
    return RemoveAction(path, True, int(time.time() * 1000), None, {PARTITION: split})


def _paths(table: DeltaTable) -> list[str]:
    return [str(path) for path in table.get_add_actions(flatten=True)["path"].to_pylist()]


def _lost(root: str, build: Build, error: Exception) -> bool:
    """Whether the commit failed because another one came first."""
    if isinstance(error, CommitFailedError):
        return True
    try:
        return bool(delta_table(root).version() != build.base)
    except DeltaError:
        return False


def require_ours(root: str) -> None:
    """Refuse a Delta table whose newest commit is not a build of Headrace: it would be replaced.

    Raises:
        DatasetError: with the commit's operation.
    """
    table = newest_table(root)
    if table is None:
        return
    newest = table.history(1)[0]
    if BUILD_KEY not in newest:
        raise DatasetError(
            f"{root} is a Delta table whose newest commit ({newest.get('operation')}) is not a "
            "build of Headrace; publishing would replace its rows. Choose another dataset.path"
        )


def _check_files(root: str, added: Iterable[DataFile]) -> None:
    files, path = open_files(root)

    def size(file: DataFile) -> int | None:
        try:
            return int(files.info(f"{path}/{file.path}")["size"])
        except FileNotFoundError:
            return None

    added = list(added)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sizes = list(pool.map(size, added))
    for file, found in zip(added, sizes, strict=True):
        if found != file.bytes:
            raise DatasetError(
                f"dataset {root}: {file.path} has {found} bytes here, its writer wrote "
                f"{file.bytes}. Nothing was published. The folder must be one that the driver and "
                "every executor share"
            )


def committed_version(root: str, build_id: str) -> int | None:
    """The version that `build_id` was committed as, or `None`."""
    table = newest_table(root)
    if table is None:
        return None
    return next((int(c["version"]) for c in table.history() if c.get(BUILD_KEY) == build_id), None)


def discard(root: str, build_id: str) -> None:
    """Remove what a failed build left below `root`, unless the build was committed after all.

    Files carry the build id in their names, so those of other builds cannot match.
    """
    files, path = open_files(root)
    with reaching(root):
        if not files.exists(path) or committed_version(root, build_id) is not None:
            return
        for split in SPLITS:
            folder = f"{path}/{PARTITION}={split}"
            # no glob: the root's own name may have brackets
            for found in files.ls(folder, detail=False) if files.isdir(folder) else []:
                if str(found).rpartition("/")[2].startswith(f"part-{build_id}-"):
                    files.rm_file(found)
        sidecar = f"{path}/_headrace/{build_id}"
        if files.exists(sidecar):
            files.rm(sidecar, recursive=True)
