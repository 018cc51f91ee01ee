"""Find what versions need of the files below their root: their own, and those of earlier builds."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from headrace.lake.build import attach_lists, read_build
from headrace.lake.manifest import ManifestRef, read_manifest
from headrace.lake.part_path import parse_build_id
from headrace.lake.predictions import attach_score_lists, read_score_record
from headrace.lake.record_lists import StoredLists
from headrace.lake.storage import CONCURRENT_REQUESTS


@dataclass(frozen=True)
class Needs:
    """What some versions need.

    Attributes:
        files: paths of data files and manifests, below the root.
        builds: builds and jobs whose sidecars have to stay, but for records and manifests.
        owners: those that wrote such a file.
    """

    files: frozenset[str]
    builds: frozenset[str]
    owners: frozenset[str]


def find_needs(root: str, build_ids: Iterable[str]) -> Needs:
    """Find what the versions of some builds of a dataset need.

    Raises:
        DamagedError, RemovedError: a record or a manifest cannot be read.
        UnreachableError: the store does not answer.
    """
    builds = [read_build(root, build_id) for build_id in build_ids]
    known = _read_manifests(root, [build.lists for build in builds])
    files, needed = {*known}, set[str]()
    for build in builds:
        lists = attach_lists(root, build, known=_key_by_name(known))
        files |= {file.path for file in lists.files}
        needed |= {build.build_id, build.transform_of or build.build_id}
        needed |= {partition.build_id for partition in lists.partitions}
        needed |= {partition.hashes_build for partition in lists.partitions}
        needed |= {join.build_id for join in build.joins.values()}
    # One that only wrote rows of others again is named by its files alone.
    rewriters = {build_id for path in files if (build_id := parse_build_id(path))}
    return Needs(frozenset(files), frozenset(needed), _list_owners(known) | rewriters)


def find_needs_of_predictions(root: str, build_ids: Iterable[str]) -> Needs:
    """Find what the versions of some scoring jobs need; raise as `find_needs`."""
    records = [read_score_record(root, build_id) for build_id in build_ids]
    known = _read_manifests(root, [record.lists for record in records])
    files, needed = {*known}, set[str]()
    for record in records:
        lists = attach_score_lists(root, record, known=_key_by_name(known))
        files |= {file.path for file in lists.files}
        needed |= {record.build_id, *(partition.build_id for partition in lists.partitions)}
    return Needs(frozenset(files), frozenset(needed), _list_owners(known))


def _read_manifests(root: str, lists: Sequence[StoredLists | None]) -> dict[str, bytes]:
    """Read the manifests of versions, each once: path below the root -> content."""
    refs: dict[str, ManifestRef] = {}
    for stored in lists:
        for stream in stored.manifests.values() if stored else ():
            refs |= {ref.path: ref for ref in stream}

    def read(ref: ManifestRef) -> bytes:
        return read_manifest(root, ref)

    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        return dict(zip(refs, pool.map(read, refs.values()), strict=True))


def _key_by_name(known: dict[str, bytes]) -> dict[str, Any]:
    return {path.rpartition("/")[2]: content for path, content in known.items()}


def _list_owners(known: Iterable[str]) -> frozenset[str]:
    """Return the builds in whose sidecars manifests are."""
    return frozenset(path.split("/")[1] for path in known)
