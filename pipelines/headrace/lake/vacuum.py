"""Remove files that no retained version needs: of old versions, and leftovers of dead builds.

A file is removed only where its name has the id of the build that wrote it, and that build was
either committed and belongs to no retained version, or was never committed and has written nothing
for so long that it must be dead. A removed version's transform, tallies and quarantined rows stay
while a retained version needs them. Everything else below the dataset's root is left alone. The
Delta log stays, so that a removed version can be told from one that never existed.
"""

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.errors import DatasetError
from headrace.lake.build import BUILD_FILE, read_build
from headrace.lake.commit import SPLIT_COLUMN
from headrace.lake.history import VersionEntry, list_versions
from headrace.lake.sidecar import SIDECAR_ROOT
from headrace.lake.storage import (
    CONCURRENT_REQUESTS,
    explain_storage_errors,
    open_filesystem,
    resolve_root,
)
from headrace.lake.version import make_missing_error
from headrace.lake.walk import find_files

_PART = re.compile(r"part-(?P<build>.+)-\d+-\d+\.parquet$")


@dataclass(frozen=True)
class VacuumResult:
    """The versions and files that were removed, or would be in a dry run.

    Attributes:
        versions: versions that can no longer be read.
        leftovers: ids of dead builds.
        files: paths of the removed files, below the dataset's root.
        bytes: their size.
    """

    versions: tuple[int, ...]
    leftovers: tuple[str, ...]
    files: tuple[str, ...]
    bytes: int


def vacuum_dataset(
    root: str, *, keep: timedelta, leftovers_after: timedelta, now: datetime, dry_run: bool
) -> VacuumResult:
    """Find the files that are no longer needed and, unless it is a dry run, remove them.

    Args:
        root: the dataset's folder or URL.
        keep: how long a version stays readable after its successor was committed. The newest
            version is always retained.
        leftovers_after: a build that was not committed is dead when the newest of its files is
            older than this. It must be longer than a build takes to write its files.
        now: current time, UTC.
        dry_run: remove nothing.

    Raises:
        DatasetError: there is no dataset, or a version that must be retained cannot be read.
    """
    root = resolve_root(root)
    # In this order: a build that is committed after the listing either has no listed file, or is
    # listed as committed.
    with explain_storage_errors(root):
        build_files = _list_build_files(root)
    versions = list_versions(root)
    retained = [
        version
        for version, superseded in _pair_with_successors(versions)
        if superseded is None or superseded > now - keep
    ]
    needed_files: set[str] = set()
    needed_builds: set[str] = set()
    for version in retained:
        if version.summary is None:
            if version.problem or version is versions[-1]:
                raise DatasetError(
                    f"dataset {root}: version {version.version} is to be kept and cannot be read, "
                    "so the files that it needs are unknown and nothing is removed"
                    + (f": {version.problem}" if version.problem else "")
                )
            continue  # removed by an earlier vacuum that retained less
        build = read_build(root, str(version.build_id))
        needed_files |= {file.path for file in build.files}
        needed_builds |= {build.build_id, build.transform_of or build.build_id}
        needed_builds |= {partition.build_id for partition in build.partitions}
        needed_builds |= {join.build_id for join in build.joins.values()}
    retained_builds = {version.build_id for version in retained}
    # The log of a version may have expired while files of its build live on in a newer one.
    committed = {version.build_id for version in versions if version.build_id} | needed_builds

    def is_needed(build_id: str, path: str) -> bool:
        if path == f"{SIDECAR_ROOT}/{build_id}/{BUILD_FILE}":  # without it, no version is opened
            return build_id in retained_builds
        is_sidecar_file = path.startswith(f"{SIDECAR_ROOT}/")
        return path in needed_files or (build_id in needed_builds and is_sidecar_file)

    removed_files: list[str] = []
    leftovers: list[str] = []
    for build_id, paths in build_files.items():
        if build_id in committed:
            removed_files += [path for path in paths if not is_needed(build_id, path)]
        elif not needed_files.isdisjoint(paths):
            continue
        elif max(changed for _, changed in paths.values()) < now - leftovers_after:
            leftovers.append(build_id)
            removed_files += list(paths)
    sizes = {path: size for paths in build_files.values() for path, (size, _) in paths.items()}
    removed_versions = tuple(
        version.version
        for version in versions
        if version not in retained and version.summary is not None
    )
    result = VacuumResult(
        versions=removed_versions,
        leftovers=tuple(sorted(leftovers)),
        files=tuple(sorted(removed_files)),
        bytes=sum(sizes[path] for path in removed_files),
    )
    if not dry_run:
        with explain_storage_errors(root):
            _remove_files(root, result)
    return result


def _pair_with_successors(
    versions: list[VersionEntry],
) -> list[tuple[VersionEntry, datetime | None]]:
    """Return each version with the time of the next commit; None for the newest."""
    successors = [version.committed for version in versions[1:]]
    return list(zip(versions, [*successors, None], strict=True))


def _list_build_files(root: str) -> dict[str, dict[str, tuple[int, datetime]]]:
    """List all files that builds wrote.

    Returns:
        Build id -> path below the root -> bytes and time of modification.
    """
    filesystem, base = open_filesystem(root)
    if not filesystem.exists(base):
        raise make_missing_error(root)
    listing: dict[str, dict[str, tuple[int, datetime]]] = defaultdict(dict)
    for full_path, info in find_files(filesystem, base).items():
        path = str(full_path)[len(base) + 1 :]
        build_id = _parse_build_id(path)
        if build_id:
            listing[build_id][path] = (int(info["size"]), read_change_time(info))
    return listing


def _parse_build_id(path: str) -> str | None:
    """Return the build that wrote a file, from its path below the root; None of other files."""
    top, _, rest = path.partition("/")
    if top == SIDECAR_ROOT and "/" in rest:
        return rest.partition("/")[0]
    if top.startswith(f"{SPLIT_COLUMN}="):
        match = _PART.match(rest)
        return match["build"] if match else None
    return None


def read_change_time(info: dict[str, Any]) -> datetime:
    """Return the time of modification in a file's fsspec info, whose key depends on the store.

    Returns:
        the time, in UTC where the store names no zone; now, where it tells none.
    """
    for key in ("mtime", "LastModified", "last_modified", "updated", "modificationTime"):
        value = info.get(key)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(time, datetime):
            return time if time.tzinfo else time.replace(tzinfo=UTC)
    return datetime.now(UTC)  # unknown: never old enough to be called dead


def _remove_files(root: str, result: VacuumResult) -> None:
    """Remove the files of a result, and the folders of builds that are empty afterwards."""
    filesystem, base = open_filesystem(root)

    def remove_file(path: str) -> None:
        with suppress(FileNotFoundError):
            filesystem.rm_file(f"{base}/{path}")

    # A version without its build.json counts as removed, so records go before the files they list.
    records = [path for path in result.files if path.endswith(f"/{BUILD_FILE}")]
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        for paths in (records, [path for path in result.files if path not in {*records}]):
            list(pool.map(remove_file, paths))
    # Where folders are real, remove the empty ones of removed builds too.
    sidecars = [path for path in result.files if path.startswith(f"{SIDECAR_ROOT}/")]
    for build_id in {build_id for path in sidecars if (build_id := _parse_build_id(path))}:
        folder = f"{base}/{SIDECAR_ROOT}/{build_id}"
        if filesystem.isdir(folder) and not find_files(filesystem, folder):
            filesystem.rm(folder, recursive=True)
