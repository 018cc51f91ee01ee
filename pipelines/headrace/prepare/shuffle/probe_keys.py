"""Find the retained source partitions that have a key of the rows that are read.

The keys of those rows are looked up in the hashes that builds left beside their rows
(`key_hashes.py`), and where one is found, in the partition's `row_id` itself. This runs once the
first job has settled which rows stay.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from headrace.errors import DamagedError
from headrace.lake.storage import CONCURRENT_REQUESTS
from headrace.prepare.key_hashes import (
    KeyHashIndex,
    count_matches,
    locate_key_hashes,
    read_key_hashes,
    shorten_row_ids,
)
from headrace.prepare.shuffle.arrow_blobs import BLOB_DDL, Blob, build_blob_batch
from headrace.prepare.shuffle.run_row_ids import describe_runs, read_run_row_ids
from headrace.progress import Progress, Report
from headrace.spark_engine.engine import Shared
from headrace.spark_engine.find_engine import find_engine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headrace.lake.version import DatasetVersion

MOST_PROBED_ROWS = 1 << 23
"""Rows that are read: up to here all tasks have their keys, 8 bytes each. The keys of more are
compared with those of published rows where rows meet."""
_SEEN, _MATCHED, _DAMAGED = "hashes", "matched", "damaged"
_HASHES, _ROW_IDS = "hashes of keys", "row ids"
Work = tuple[str, str, str]
"""What to read, its path, and the build that has hashes or the `describe_runs` of a data file."""


@dataclass(frozen=True)
class HashedPartitions:
    """Retained source partitions whose keys can be looked up in hashes.

    Attributes:
        base: the version that has them.
        builds: build -> those partitions whose hashes it has, and its index.
    """

    base: "DatasetVersion"
    builds: Mapping[str, tuple[frozenset[str], KeyHashIndex]]

    @property
    def names(self) -> frozenset[str]:
        """Return the partitions."""
        return frozenset(name for names, _ in self.builds.values() for name in names)

    def list_hash_files(self) -> list[Work]:
        """List the files of hashes, each once."""
        return [
            (_HASHES, f"{locate_key_hashes(self.base.root, build_id)}/{file}", build_id)
            for build_id, (_, index) in sorted(self.builds.items())
            for file in index.files
        ]

    def list_data_files(self, partitions: Collection[str]) -> list[Work]:
        """List the data files of some partitions."""
        return [
            (_ROW_IDS, f"{self.base.root}/{file.path}", describe_runs(file, partitions))
            for file in self.base.build.files
            if file.count_rows(partitions)
        ]


def find_hashed_partitions(
    base: "DatasetVersion", retained: Collection[str], report: Report
) -> HashedPartitions:
    """Find the retained partitions that have the hashes of all of their rows.

    Those of an older Headrace have none; one whose index is damaged is reported. Both are read.
    """
    rows = Counter[str]()
    for file in base.build.files:
        for run in file.list_runs():
            if run.partition in retained:
                rows[run.partition] += run.rows
    by_build: dict[str, set[str]] = {}
    for partition in base.build.partitions:
        if partition.name in retained:
            by_build.setdefault(partition.hashes_build, set()).add(partition.name)

    def read_index(build_id: str) -> KeyHashIndex | DamagedError:
        try:
            return KeyHashIndex.read(base.root, build_id)
        except DamagedError as error:
            return error

    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        indexes = dict(zip(by_build, pool.map(read_index, by_build), strict=True))
    builds = {}
    for build_id, names in by_build.items():
        index = indexes[build_id]
        if isinstance(index, DamagedError):
            report(Progress(f"row ids are read instead of hashes of keys: {index}"))
            continue
        complete = frozenset(name for name in names if index.rows.get(name, 0) == rows[name])
        if index.files and complete:
            builds[build_id] = complete, index
    return HashedPartitions(base, builds)


def find_shared_partitions(
    spark: "SparkSession", hashed: HashedPartitions, row_ids: np.ndarray, report: Report
) -> frozenset[str]:
    """Find the partitions with rows of some keys.

    Args:
        spark: the session.
        hashed: where to look.
        row_ids: int64, of the rows that are read and have a key.
        report: told of files of hashes that are damaged or gone.

    Returns:
        exactly the partitions with one of these row ids.
    """
    row_ids = np.unique(row_ids)
    if not len(row_ids) or not hashed.builds:
        return frozenset()
    partitions_of = {build_id: names for build_id, (names, _) in hashed.builds.items()}
    hashes = np.unique(shorten_row_ids(row_ids))
    results = _run(spark, hashed.list_hash_files(), hashes, partitions_of)
    candidates = _choose_candidates(hashed, results, report)
    if not candidates:
        return frozenset()
    results = _run(spark, hashed.list_data_files(candidates), row_ids, {})
    return frozenset(name for kind, name, _, _ in results if kind == _MATCHED)


def _choose_candidates(
    hashed: HashedPartitions, results: Sequence[Blob], report: Report
) -> frozenset[str]:
    """Choose the partitions whose row ids are to be read: with a hash that is wanted, or without
    all of their hashes."""
    seen = Counter[str]()
    for kind, name, rows, _ in results:
        if kind == _SEEN:
            seen[name] += rows
    incomplete = {
        name
        for names, index in hashed.builds.values()
        for name in names
        if seen[name] != index.rows.get(name, 0)
    }
    if incomplete:
        damaged = sorted({name for kind, name, _, _ in results if kind == _DAMAGED})
        what = damaged[0] if damaged else "files of hashes have other rows than their index"
        report(
            Progress(
                f"row ids of {len(incomplete):,} source partitions are read instead of hashes of "
                f"their keys: {what}; `headrace prepare --full` writes all hashes anew"
            )
        )
    return frozenset(incomplete | {name for kind, name, _, _ in results if kind == _MATCHED})


def _run(
    spark: "SparkSession",
    work: list[Work],
    keys: np.ndarray,
    partitions_of: Mapping[str, frozenset[str]],
) -> list[Blob]:
    """Look keys up in files, in tasks."""
    if not work:
        return []
    engine = find_engine(spark)
    frame = spark.createDataFrame(work, "kind string, path string, name string")
    frame = frame.repartition(min(len(work), 4 * engine.get_parallelism()))
    shared = engine.share((keys, dict(partitions_of)))
    try:
        rows = frame.mapInArrow(make_probe_function(shared), BLOB_DDL).collect()
    finally:
        shared.unpersist()
    return [(row["kind"], row["name"], row["target"], bytes(row["blob"])) for row in rows]


def make_probe_function(
    shared: Shared[tuple[np.ndarray, dict[str, frozenset[str]]]],
) -> Callable[..., Iterator[pa.RecordBatch]]:
    """Make the function for `mapInArrow` that looks keys up in files.

    Args:
        shared: the keys, int64, rising: hashes for files of hashes, row ids for data files; and
            the partitions of each build that are looked for.
    """

    def probe_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        keys, partitions_of = shared.value
        for batch in batches:
            for work in batch.to_pylist():
                if work["kind"] == _HASHES:
                    yield build_blob_batch(
                        _probe_hashes(work["path"], keys, partitions_of[work["name"]])
                    )
                else:
                    yield build_blob_batch(_probe_row_ids(work["path"], keys, work["name"]))

    return probe_batches


def _probe_hashes(path: str, keys: np.ndarray, partitions: frozenset[str]) -> list[Blob]:
    """Return how many hashes of each partition a file has, and which have one of the keys."""
    try:
        runs = read_key_hashes(path, partitions)
    except FileNotFoundError:
        return [(_DAMAGED, f"{path} is gone", 0, b"")]
    except DamagedError as error:
        return [(_DAMAGED, str(error), 0, b"")]
    blobs: list[Blob] = [(_SEEN, name, len(run), b"") for name, run in runs.items()]
    matched = [name for name, run in runs.items() if count_matches(run, keys)]
    return blobs + [(_MATCHED, name, 0, b"") for name in matched]


def _probe_row_ids(path: str, keys: np.ndarray, runs: str) -> list[Blob]:
    """Return the partitions that have one of the keys in some runs of a data file."""
    return [
        (_MATCHED, partition, 0, b"")
        for partition, row_ids in read_run_row_ids(path, runs)
        if count_matches(np.sort(row_ids), keys)
    ]
