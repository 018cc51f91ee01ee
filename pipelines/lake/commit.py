"""Publish a build: sidecar first, then one Delta commit, which is the only visible step."""

import json
import time

import fsspec
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, create_table_with_add_actions

from pipelines.errors import ConflictError
from pipelines.lake.build import Build, write_sidecar
from pipelines.lake.version import BUILD_KEY

PARTITION = "split"


def publish(root: str, build: Build, schema: pa.Schema, transform_json: str) -> int:
    """Make `build` the newest version of the dataset at `root`.

    Args:
        root: the dataset's folder or URL; the first publish makes it a Delta table.
        build: what was built; its files lie below `root` already.
        schema: of the files, without the `split` partition column.
        transform_json: the fitted transform.

    Returns:
        the new Delta version.

    Raises:
        LedgerError: the ledger does not add up; nothing is visible.
        ConflictError: another build was committed meanwhile; nothing of this one is visible.
    """
    build.ledger.check()
    write_sidecar(root, build, transform_json)
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
    except (CommitFailedError, DeltaError) as error:
        raise ConflictError(
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
