"""Merge the hashes of keys that earlier builds left, so that a night opens few files of them.

Every build leaves hashes of the rows that it wrote, and a night looks its keys up in all of them.
As soon as those of more than `MAX_BUILDS` builds are in use, a build copies those of the smallest
ones into its own sidecar, as far as each is no larger than the smaller ones together; and the
record says of their source partitions where the hashes are now. This is the binomial rule of
Bentley and Saxe by sizes, so that a hash of n builds is copied about log(n) times: 1.5 times in 256
equal nights and 2.8 in 4,096, up to 4 where nights are uneven. What has `FULL_ROWS` is not copied.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from headrace.errors import DamagedError
from headrace.lake.source_partition import SourcePartition
from headrace.prepare.key_hashes import (
    KeyHashIndex,
    locate_key_hashes,
    read_key_hashes,
    write_key_hashes,
)

MAX_BUILDS = 16
"""Builds whose hashes are in use at most, besides those that are full."""
FULL_ROWS = 1 << 24
"""Hashes, of 8 bytes in memory, that one build copies at most."""
_FILE = "merged.parquet"


@dataclass(frozen=True)
class MergedKeyHashes:
    """The hashes that a build has in its sidecar.

    Attributes:
        index: of all, its own rows' included.
        moved: source partitions of earlier builds whose hashes it has now.
    """

    index: KeyHashIndex
    moved: frozenset[str] = frozenset()


def choose_builds(rows_of: Mapping[str, int]) -> list[str]:
    """Choose the builds whose hashes are copied; none while they are few.

    Args:
        rows_of: earlier build -> hashes of it that are in use.
    """
    small = sorted((rows, build_id) for build_id, rows in rows_of.items() if 2 * rows <= FULL_ROWS)
    if len(small) < MAX_BUILDS:  # with the build itself they are as many
        return []
    chosen: list[str] = []
    total = 0
    for rows, build_id in small:
        if (len(chosen) > 1 and rows > total) or total + rows > FULL_ROWS:
            break
        chosen.append(build_id)
        total += rows
    return chosen


def merge_key_hashes(
    root: str,
    build_id: str,
    own: KeyHashIndex,
    retained: Iterable[SourcePartition],
    rows: Mapping[str, int],
) -> MergedKeyHashes:
    """Copy the hashes of small builds into the sidecar of a new one, where they are many.

    Hashes that are damaged, gone or not those of all rows stay where they are.

    Args:
        root: folder or URL of the dataset.
        build_id: of the new build.
        own: index of its own rows' hashes.
        retained: source partitions of earlier builds.
        rows: source partition -> its published rows.
    """
    names_of: dict[str, list[str]] = {}
    for partition in retained:
        names_of.setdefault(partition.hashes_build, []).append(partition.name)
    chosen = choose_builds({b: sum(rows.get(n, 0) for n in names) for b, names in names_of.items()})
    runs: dict[str, np.ndarray] = {}
    for earlier in chosen:
        runs |= _read_complete_runs(root, earlier, names_of[earlier], rows)
    if not runs:
        return MergedKeyHashes(own)
    written = write_key_hashes(locate_key_hashes(root, build_id), _FILE, runs)
    index = KeyHashIndex((*own.files, _FILE), {**own.rows, **written})
    return MergedKeyHashes(index, frozenset(runs))


def _read_complete_runs(
    root: str, build_id: str, names: Collection[str], rows: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """Read the hashes of source partitions that a build has for all of their rows."""
    parts: dict[str, list[np.ndarray]] = {}
    try:
        index = KeyHashIndex.read(root, build_id)
        for file in index.files:
            found = read_key_hashes(f"{locate_key_hashes(root, build_id)}/{file}", names)
            for name, run in found.items():
                parts.setdefault(name, []).append(run)
    except (DamagedError, FileNotFoundError):  # the next night says so
        return {}
    runs = {name: np.concatenate(own) for name, own in parts.items()}
    return {name: run for name, run in runs.items() if len(run) == rows.get(name, 0)}
