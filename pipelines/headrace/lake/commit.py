"""Publish a build: write its sidecar, then one Delta commit, which is the only visible step.

Also find a build that was published under a caller's id, and discard one that failed. How a commit
is made and its outcome established is left to `delta.py`.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from deltalake import Schema

from headrace.errors import DamagedError, DatasetError, RemovedError
from headrace.lake.build import BUILD_FILE, Build, read_build, write_sidecar
from headrace.lake.data_file import SPLITS
from headrace.lake.delta import (
    Commit,
    check_file_sizes,
    find_noted_version,
    format_app_id,
    is_committed,
    make_add_action,
    publish_files,
)
from headrace.lake.newest_table import open_newest_table
from headrace.lake.part_path import parse_build_id
from headrace.lake.sidecar import remove_sidecar
from headrace.lake.storage import explain_storage_errors, open_filesystem
from headrace.lake.version import BUILD_KEY, list_commits, read_commit

SPLIT_COLUMN = "split"
_APP = "headrace"  # in the application id of commits


def publish_build(
    root: str,
    build: Build,
    schema: pa.Schema,
    transform_json: str,
    extra_files: Mapping[str, str | bytes] | None = None,
    like: Build | None = None,
) -> int:
    """Make `build` the newest version of the dataset at `root`.

    Args:
        root: the dataset's folder or URL; the first publish makes it a Delta table.
        build: what was built on `build.base`; its new files are below `root` already, with the
            build id in their names, and its other files are the base version's.
        schema: schema of the files, without the `split` partition column.
        transform_json: the fitted transform.
        extra_files: further files of the sidecar, by name.
        like: see `write_sidecar`.

    Returns:
        The new Delta version.

    Raises:
        LedgerError: the ledger does not add up; nothing is visible.
        DatasetError: the table is not Headrace's, or a file is not where it should be.
        ConflictError: another build was committed since this one began; nothing of this one is
            visible.
    """
    build.ledger.check_balance()
    with explain_storage_errors(root):
        refuse_foreign_table(root)
        new_files = {
            f.path: f.bytes for f in build.files if parse_build_id(f.path) == build.build_id
        }
        check_file_sizes(root, new_files, f"dataset {root}")
        build = write_sidecar(root, build, transform_json, extra_files, like)
        manifests = [ref for refs in build.lists.manifests.values() for ref in refs] if (
            build.lists
        ) else []  # fmt: skip
        # Those of earlier builds as well: vacuum may have removed them since they were read.
        check_file_sizes(root, {ref.path: ref.bytes for ref in manifests}, f"dataset {root}")
    commit = Commit(
        base=build.base,
        key=BUILD_KEY,
        build_id=build.build_id,
        app_id=format_app_id(_APP, build.given_id or build.build_id),
        schema=Schema.from_arrow(schema.append(pa.field(SPLIT_COLUMN, pa.string()))),
        partition_by=(SPLIT_COLUMN,),
        partition_values=lambda path: {
            SPLIT_COLUMN: path.partition("/")[0].removeprefix(f"{SPLIT_COLUMN}=")
        },
        data_change=build.optimized is None,
    )
    files = {
        file.path: make_add_action(
            file.path, file.bytes, rows=file.rows, partition_values={SPLIT_COLUMN: file.split}
        )
        for file in build.files
    }
    return publish_files(root, files, commit, f"dataset {root}", "build")


def find_published_version(root: str, idempotency_id: str) -> int | None:
    """Find the version that was published under a caller's id; None where there is none.

    Raises:
        DatasetError: it was published, and its version was removed since.
    """
    noted = find_noted_version(root, format_app_id(_APP, idempotency_id))
    if noted is None:
        return None
    if _is_published_as(root, read_commit(root, noted), idempotency_id):
        return noted
    table = open_newest_table(root)  # an older Headrace did not note which version it was
    for commit in list_commits(root, table) if table is not None and noted == 1 else []:
        if _is_published_as(root, commit, idempotency_id):
            return int(commit["version"])
    raise DatasetError(
        f"dataset {root}: a build was published as {idempotency_id!r}, and its version was removed "
        "by `headrace vacuum`; choose another --build-id"
    )


def _is_published_as(root: str, commit: Mapping[str, Any] | None, idempotency_id: str) -> bool:
    """Return whether a commit is of a build that can be read, and has a caller's id."""
    try:
        build = read_build(root, str((commit or {}).get(BUILD_KEY)))
    except (RemovedError, DamagedError):
        return False
    return build.given_id == idempotency_id


def refuse_foreign_table(root: str) -> None:
    """Refuse a Delta table whose newest commit is not a build of Headrace: it would be replaced.

    Raises:
        DatasetError: another program wrote the newest commit.
    """
    table = open_newest_table(root)
    if table is None:
        return
    newest = read_commit(root, int(table.version())) or {}
    if BUILD_KEY not in newest:
        raise DatasetError(
            f"{root} is a Delta table whose newest commit ({newest.get('operation')}) is not a "
            "build of Headrace; publishing would replace its rows. Choose another dataset.path"
        )


def discard_build(root: str, build_id: str) -> None:
    """Remove what a failed build left below `root`, unless the build was committed after all.

    Files have the build id in their names, so those of other builds cannot match.
    """
    filesystem, path = open_filesystem(root)
    with explain_storage_errors(root):
        if not filesystem.exists(path) or is_committed(root, BUILD_KEY, build_id, BUILD_FILE):
            return
        for split in SPLITS:
            folder = f"{path}/{SPLIT_COLUMN}={split}"
            # no glob: the root's own name may have brackets
            for file in filesystem.ls(folder, detail=False) if filesystem.isdir(folder) else []:
                if parse_build_id(str(file)) == build_id:
                    filesystem.rm_file(file)
        remove_sidecar(root, build_id)
