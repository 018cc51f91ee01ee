"""Remove what no kept version needs: files of old versions, and leftovers of builds that died.

A file is removed only where its name tells the build that wrote it, and where that build was either
committed and is of no kept version, or was never committed and has written nothing for so long that
it must be dead. A removed version's transform, tallies and rejected rows stay while a kept version
needs them. Everything else below the dataset's root is left alone. The Delta log stays, so that a
removed version is told from one that never was.
"""

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.errors import DatasetError
from headrace.lake.build import read_build
from headrace.lake.history import PastVersion, versions_of
from headrace.lake.storage import absolute_root, open_files, reaching

_AT_ONCE = 16  # requests to the store
_PART = re.compile(r"part-(?P<build>.+)-\d+-\d+\.parquet$")


@dataclass(frozen=True)
class Vacuumed:
    """What was removed, or would be.

    Attributes:
        versions: that can no longer be read.
        leftovers: ids of dead builds.
        files: paths below the dataset's root.
        bytes: of them.
    """

    versions: tuple[int, ...]
    leftovers: tuple[str, ...]
    files: tuple[str, ...]
    bytes: int


def vacuum(
    root: str, *, keep: timedelta, leftovers_after: timedelta, now: datetime, dry_run: bool
) -> Vacuumed:
    """Find, and unless it is a dry run remove, what is no longer needed.

    Args:
        root: the dataset's folder or URL.
        keep: how long a version stays readable after another one took its place. The newest
            version is always kept.
        leftovers_after: a build that was not committed is dead when the newest of its files is
            older than this. It must be longer than a build takes to write its files.
        now: the time, UTC.
        dry_run: remove nothing.

    Raises:
        DatasetError: there is no dataset, or a version that must be kept cannot be read.
    """
    root = absolute_root(root)
    # In this order: what is committed after the listing was not listed, or is known as committed.
    with reaching(root):
        there = _listed(root)
    versions = versions_of(root)
    kept = [
        v
        for v, superseded in _superseded(versions)
        if superseded is None or superseded > now - keep
    ]
    needed_files: set[str] = set()
    needed_builds: set[str] = set()
    for version in kept:
        if version.summary is None:
            if version.trouble or version is versions[-1]:
                raise DatasetError(
                    f"dataset {root}: version {version.version} is to be kept and cannot be read, "
                    "so what it needs is not known and nothing is removed"
                    + (f": {version.trouble}" if version.trouble else "")
                )
            continue  # removed by an earlier vacuum that kept less
        build = read_build(root, str(version.build_id))
        needed_files |= {file.path for file in build.files}
        needed_builds |= {build.build_id, build.transform_of or build.build_id}
        needed_builds |= {partition.build_id for partition in build.partitions}
    kept_builds = {v.build_id for v in kept}
    # The log of a version may have expired while files of its build live on in a newer one.
    committed = {v.build_id for v in versions if v.build_id} | needed_builds

    def needed(build_id: str, path: str) -> bool:
        if path == f"_headrace/{build_id}/build.json":  # without it, the version is not opened
            return build_id in kept_builds
        return path in needed_files or (build_id in needed_builds and path.startswith("_headrace/"))

    gone: list[str] = []
    leftovers: list[str] = []
    for build_id, paths in there.items():
        if build_id in committed:
            gone += [path for path in paths if not needed(build_id, path)]
        elif not needed_files.isdisjoint(paths):
            continue
        elif max(changed for _, changed in paths.values()) < now - leftovers_after:
            leftovers.append(build_id)
            gone += list(paths)
    sizes = {p: size for paths in there.values() for p, (size, _) in paths.items()}
    removed = tuple(v.version for v in versions if v not in kept and v.summary is not None)
    result = Vacuumed(
        removed, tuple(sorted(leftovers)), tuple(sorted(gone)), sum(sizes[p] for p in gone)
    )
    if not dry_run:
        with reaching(root):
            _remove(root, result)
    return result


def _superseded(versions: list[PastVersion]) -> list[tuple[PastVersion, datetime | None]]:
    """Each version and when the next one took its place; None for the newest."""
    followers = [v.committed for v in versions[1:]]
    return list(zip(versions, [*followers, None], strict=True))


def _listed(root: str) -> dict[str, dict[str, tuple[int, datetime]]]:
    """Build id -> path below the root -> bytes and time of change, of all that builds wrote."""
    files, base = open_files(root)
    if not files.exists(base):
        raise DatasetError(f"there is no dataset at {root}")
    found: dict[str, dict[str, tuple[int, datetime]]] = defaultdict(dict)
    for full, info in files.find(base, detail=True).items():
        path = str(full)[len(base) + 1 :]
        build_id = _build_of(path)
        if build_id:
            found[build_id][path] = (int(info["size"]), _changed(info))
    return found


def _build_of(path: str) -> str | None:
    top, _, rest = path.partition("/")
    if top == "_headrace" and "/" in rest:
        return rest.partition("/")[0]
    if top.startswith("split="):
        match = _PART.match(rest)
        return match["build"] if match else None
    return None


def _changed(info: dict[str, Any]) -> datetime:
    for key in ("mtime", "LastModified", "last_modified", "updated", "modificationTime"):
        value = info.get(key)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            return datetime.fromisoformat(value)
    return datetime.now(UTC)  # unknown: never old enough to be called dead


def _remove(root: str, found: Vacuumed) -> None:
    files, base = open_files(root)

    def remove(path: str) -> None:
        with suppress(FileNotFoundError):
            files.rm_file(f"{base}/{path}")

    # Without its build.json a version is known as removed: those go before what they name.
    first = [path for path in found.files if path.endswith("/build.json")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for paths in (first, [path for path in found.files if path not in {*first}]):
            list(pool.map(remove, paths))
    # Where folders are real, the empty ones of removed builds go too.
    for build_id in {b for p in found.files if (b := _build_of(p)) and p.startswith("_headrace/")}:
        folder = f"{base}/_headrace/{build_id}"
        if files.isdir(folder) and not files.find(folder):
            files.rm(folder, recursive=True)
