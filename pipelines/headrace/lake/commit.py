"""Publish a build: sidecar first, then one Delta commit, which is the only visible step."""

import json
import time
from collections.abc import Mapping

import pyarrow as pa
from deltalake import Schema
from deltalake.transaction import AddAction

from headrace.errors import DamagedError, DatasetError, RemovedError
from headrace.lake.build import Build, read_build, write_sidecar
from headrace.lake.data_file import SPLITS, DataFile
from headrace.lake.delta import Commit, check_files, committed_version, publish_files
from headrace.lake.storage import open_files, reaching
from headrace.lake.version import BUILD_KEY, newest_table

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
        added = {f.path: f.bytes for f in build.files if f"-{build.build_id}-" in f.path}
        check_files(root, added, f"dataset {root}")
        write_sidecar(root, build, transform_json, texts)
    commit = Commit(
        base=build.base,
        key=BUILD_KEY,
        build_id=build.build_id,
        app_id=_app_id(build.given_id or build.build_id),
        schema=Schema.from_arrow(schema.append(pa.field(PARTITION, pa.string()))),
        partition_by=(PARTITION,),
        values_of=lambda path: {PARTITION: path.partition("/")[0].removeprefix(f"{PARTITION}=")},
    )
    files = {file.path: _add(file) for file in build.files}
    return publish_files(root, files, commit, f"dataset {root}", "build")


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


def discard(root: str, build_id: str) -> None:
    """Remove what a failed build left below `root`, unless the build was committed after all.

    Files carry the build id in their names, so those of other builds cannot match.
    """
    files, path = open_files(root)
    with reaching(root):
        if not files.exists(path) or committed_version(root, BUILD_KEY, build_id) is not None:
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
