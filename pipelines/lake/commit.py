"""Publish a build: sidecar first, then one Delta commit, which is the only visible step."""

import json
import time
from collections.abc import Mapping

import fsspec
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, create_table_with_add_actions

from pipelines.errors import ConflictError, DatasetError
from pipelines.lake.build import Build, write_sidecar
from pipelines.lake.version import BUILD_KEY

PARTITION = "split"


def publish(
    root: str,
    build: Build,
    schema: pa.Schema,
    transform_json: str,
    texts: Mapping[str, str] | None = None,
) -> int:
    """Make `build` the newest version of the dataset at `root`.

    Args:
        root: the dataset's folder or URL; the first publish makes it a Delta table.
        build: what was built; its files lie below `root` already.
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
    require_ours(root)
    _check_files(root, build)
    write_sidecar(root, build, transform_json, texts)
    now = int(time.time() * 1000)
    actions = [
        AddAction(
            path=file.path,
            size=file.bytes,
            partition_values={PARTITION: file.split},
            modification_time=now,
            data_change=True,
            stats=json.dumps({"numRecords": file.rows}),
        )
        for file in build.files
    ]
    table_schema = Schema.from_arrow(schema.append(pa.field(PARTITION, pa.string())))
    properties = CommitProperties(custom_metadata={BUILD_KEY: build.build_id})
    try:
        try:
            table = DeltaTable(root)
        except TableNotFoundError:
            create_table_with_add_actions(
                root,
                table_schema,
                actions,
                mode="error",
                partition_by=[PARTITION],
                commit_properties=properties,
            )
        else:
            table.create_write_transaction(
                [*actions],
                mode="overwrite",
                schema=table_schema,
                partition_by=[PARTITION],
                commit_properties=properties,
            )
    except DeltaError as error:
        version = committed_version(root, build.build_id)
        if version is not None:  # the error came after the commit
            return version
        kind = ConflictError if isinstance(error, CommitFailedError) else DatasetError
        raise kind(
            f"dataset {root}: the commit of build {build.build_id} was refused: {error}. "
            "Nothing of it is visible; run the build again"
        ) from error
    version = committed_version(root, build.build_id)
    if version is None:
        raise ConflictError(
            f"dataset {root}: build {build.build_id} was committed and cannot be found in the "
            "table's history; another program replaced the table meanwhile"
        )
    return version


def require_ours(root: str) -> None:
    """Refuse a Delta table whose newest commit is not a build of Headrace: it would be replaced.

    Raises:
        DatasetError: with the commit's operation.
    """
    try:
        newest = DeltaTable(root).history(1)[0]
    except TableNotFoundError:
        return
    if BUILD_KEY not in newest:
        raise DatasetError(
            f"{root} is a Delta table whose newest commit ({newest.get('operation')}) is not a "
            "build of Headrace; publishing would replace its rows. Choose another dataset.path"
        )


def _check_files(root: str, build: Build) -> None:
    files, path = fsspec.url_to_fs(root)
    for file in build.files:
        full = f"{path}/{file.path}"
        found = files.size(full) if files.exists(full) else None
        if found != file.bytes:
            raise DatasetError(
                f"dataset {root}: {file.path} has {found} bytes here, its writer wrote "
                f"{file.bytes}. Nothing was published. The folder must be one that the driver and "
                "every executor share"
            )


def committed_version(root: str, build_id: str) -> int | None:
    """The version that `build_id` was committed as, or `None`."""
    try:
        history = DeltaTable(root).history()
    except TableNotFoundError:
        return None
    return next((int(c["version"]) for c in history if c.get(BUILD_KEY) == build_id), None)


def discard(root: str, build_id: str) -> None:
    """Remove what a failed build left below `root`, unless the build was committed after all.

    Files carry the build id in their names, so those of other builds cannot match.
    """
    files, path = fsspec.url_to_fs(root)
    if not files.exists(path) or committed_version(root, build_id) is not None:
        return
    for leftover in files.glob(f"{path}/{PARTITION}=*/part-{build_id}-*.parquet"):
        files.rm_file(leftover)
    sidecar = f"{path}/_headrace/{build_id}"
    if files.exists(sidecar):
        files.rm(sidecar, recursive=True)
