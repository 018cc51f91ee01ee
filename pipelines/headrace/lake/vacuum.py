"""Remove files that no retained version needs: of old versions, and leftovers of dead builds.

Of a dataset, or of predictions. A file is removed only where its name has the id of the build or
job that wrote it, and that one was either committed and belongs to no retained version, or was
never committed and has written nothing for so long that it must be dead. A removed version's
transform, tallies, quarantined rows and manifests stay while a retained version needs them
(`vacuum_needs.py`). Everything else below the root is left alone. What the Delta log has of
versions that are gone is removed where it is long (`log_cleanup.py`).
"""

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.errors import DamagedError, DatasetError, RemovedError
from headrace.lake.build import BUILD_FILE
from headrace.lake.commit import SPLIT_COLUMN
from headrace.lake.history import VersionEntry, list_prediction_versions, list_versions
from headrace.lake.log_cleanup import clean_log, plan_log_cleanup
from headrace.lake.manifest import is_manifest
from headrace.lake.newest_table import open_newest_table
from headrace.lake.part_path import parse_build_id
from headrace.lake.predictions import RECORD_FILE, SCORE_KEY
from headrace.lake.sidecar import ROW_SAMPLE_FILE, SIDECAR_ROOT
from headrace.lake.storage import (
    CONCURRENT_REQUESTS,
    explain_storage_errors,
    open_filesystem,
    resolve_root,
)
from headrace.lake.vacuum_needs import find_needs, find_needs_of_predictions
from headrace.lake.version import make_missing_error, read_commit
from headrace.lake.walk import find_files

# Of predictions, whose folders may have files of others too: with an id as jobs have them.
_PREDICTIONS = re.compile(r"part-(?P<build>\d{8}T\d{6}-[0-9a-f]{8})-.+\.parquet$")


@dataclass(frozen=True)
class VacuumResult:
    """The versions and files that were removed, or would be in a dry run.

    Attributes:
        versions: versions that can no longer be read.
        leftovers: ids of dead builds.
        files: paths of the removed files, below the dataset's root.
        bytes: their size.
        log_files: paths of removed files of the Delta log.
    """

    versions: tuple[int, ...]
    leftovers: tuple[str, ...]
    files: tuple[str, ...]
    bytes: int
    log_files: tuple[str, ...] = ()


def vacuum_dataset(
    root: str, *, keep: timedelta, leftovers_after: timedelta, now: datetime, dry_run: bool
) -> VacuumResult:
    """Find the files that are no longer needed and, unless it is a dry run, remove them.

    Args:
        root: folder or URL of the dataset, or of predictions.
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
    has_predictions = holds_predictions(root)
    # In this order: a build that is committed after the listing either has no listed file, or is
    # listed as committed.
    with explain_storage_errors(root):
        build_files = _list_build_files(root, has_predictions)
    versions = (list_prediction_versions if has_predictions else list_versions)(root)
    retained = [
        version
        for version, superseded in _pair_with_successors(versions)
        if superseded is None or superseded > now - keep
    ]
    for version in retained:
        if version.summary is None and (version.problem or version is versions[-1]):
            raise DatasetError(
                f"dataset {root}: version {version.version} is to be kept and cannot be read, "
                "so the files that it needs are unknown and nothing is removed"
                + (f": {version.problem}" if version.problem else "")
            )
    # Those without a record were removed by an earlier vacuum that retained less.
    ids = [str(version.build_id) for version in retained if version.summary is not None]
    try:
        needs = (find_needs_of_predictions if has_predictions else find_needs)(root, ids)
    except (DamagedError, RemovedError) as error:
        raise DatasetError(
            f"dataset {root}: the files that its versions need are unknown, so nothing is removed: "
            f"{error}"
        ) from None
    retained_builds = {version.build_id for version in retained}
    # The log of a version may have expired while files of its build live on in a newer one.
    committed = {version.build_id for version in versions if version.build_id}
    committed |= needs.builds | needs.owners
    record_file = RECORD_FILE if has_predictions else BUILD_FILE

    def is_needed(build_id: str, path: str) -> bool:
        # Without the record no version is opened; the sample is of a version, not of its build.
        of_version = (record_file, ROW_SAMPLE_FILE)
        if path in {f"{SIDECAR_ROOT}/{build_id}/{name}" for name in of_version}:
            return build_id in retained_builds
        if not path.startswith(f"{SIDECAR_ROOT}/") or is_manifest(path.rpartition("/")[2]):
            return path in needs.files
        return build_id in needs.builds

    removed_files: list[str] = []
    leftovers: list[str] = []
    for build_id, paths in build_files.items():
        if build_id in committed:
            removed_files += [path for path in paths if not is_needed(build_id, path)]
        elif not needs.files.isdisjoint(paths):
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
    cleanup = plan_log_cleanup(root, retained[0].version)
    result = VacuumResult(
        versions=removed_versions,
        leftovers=tuple(sorted(leftovers)),
        files=tuple(sorted(removed_files)),
        bytes=sum(sizes[path] for path in removed_files),
        log_files=cleanup.files,
    )
    if not dry_run:
        with explain_storage_errors(root):
            _remove_files(root, result)
        clean_log(root, cleanup)
    return result


def _pair_with_successors(
    versions: list[VersionEntry],
) -> list[tuple[VersionEntry, datetime | None]]:
    """Return each version with the time of the next commit; None for the newest."""
    successors = [version.committed for version in versions[1:]]
    return list(zip(versions, [*successors, None], strict=True))


def holds_predictions(root: str) -> bool:
    """Return whether the newest commit of a table is of a scoring job.

    Raises:
        DatasetError: there is no table.
    """
    table = open_newest_table(root)
    if table is None:
        raise make_missing_error(root)
    return SCORE_KEY in (read_commit(root, int(table.version())) or {})


def _list_build_files(
    root: str, has_predictions: bool
) -> dict[str, dict[str, tuple[int, datetime]]]:
    """List all files that builds or jobs wrote.

    Returns:
        Build id -> path below the root -> bytes and time of modification.
    """
    filesystem, base = open_filesystem(root)
    if not filesystem.exists(base):
        raise make_missing_error(root)
    listing: dict[str, dict[str, tuple[int, datetime]]] = defaultdict(dict)
    for full_path, info in find_files(filesystem, base).items():
        path = str(full_path)[len(base) + 1 :]
        build_id = _parse_build_id(path, has_predictions)
        if build_id:
            listing[build_id][path] = (int(info["size"]), read_change_time(info))
    return listing


def _parse_build_id(path: str, has_predictions: bool) -> str | None:
    """Return the build that wrote a file, from its path below the root; None of other files."""
    top, _, rest = path.partition("/")
    if top == SIDECAR_ROOT and "/" in rest:
        return rest.partition("/")[0]
    match = None
    if has_predictions and not path.startswith("_"):
        match = _PREDICTIONS.fullmatch(path.rpartition("/")[2])
    elif top.startswith(f"{SPLIT_COLUMN}="):
        return parse_build_id(rest)
    return match["build"] if match else None


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

    # A version without its record counts as removed, so records go before the files they list.
    records = {p for p in result.files if p.endswith((f"/{BUILD_FILE}", f"/{RECORD_FILE}"))}
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        for paths in (sorted(records), [path for path in result.files if path not in records]):
            list(pool.map(remove_file, paths))
    # Where folders are real, remove the empty ones of removed builds too.
    sidecars = [path for path in result.files if path.startswith(f"{SIDECAR_ROOT}/")]
    for build_id in {path.split("/")[1] for path in sidecars}:
        folder = f"{base}/{SIDECAR_ROOT}/{build_id}"
        if filesystem.isdir(folder) and not find_files(filesystem, folder):
            filesystem.rm(folder, recursive=True)
