"""Find the file, and so the source partition, that a row is from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from headrace.errors import LakeError
from headrace.lake.source_partition import SourceFile
from headrace.source.listing import Listing

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_LOCAL = ("file:", "file://")


class ReadPlan(Protocol):
    """A plan of what is read of the main table; `prepare.plan.Plan` is one."""

    @property
    def partitioning(self) -> str | list[str]:
        """Return how the table is divided into source partitions, as `increments.by`."""

    @property
    def listing(self) -> Listing | None:
        """Return the table's files; None where only Spark knows them."""

    @property
    def partitions(self) -> Mapping[str, tuple[SourceFile, ...]]:
        """Return all source partitions and their files."""

    @property
    def processed(self) -> frozenset[str]:
        """Return the source partitions whose rows are read."""

    @property
    def retained(self) -> frozenset[str]:
        """Return the source partitions whose rows are not read, and stay as they were processed."""

    @property
    def lookups(self) -> Mapping[str, Listing] | None:
        """Return the files of the joined tables, as far as they are known; None to list them."""

    def list_paths(self) -> list[str] | None:
        """Return the files to read, as the listing names them; None where it is the whole table."""


@lru_cache(maxsize=1)  # the main table's are needed more than once
def find_files_by_hash(frame: "DataFrame") -> dict[int, str]:
    """Return the URL of every file, encoded as Spark lists it, by the FILE of its rows."""
    import pyspark.sql.functions as F

    urls = [str(url) for url in frame.inputFiles()]
    if not urls:
        return {}
    pairs = []
    for url in urls:
        if url.startswith("file:"):  # the listing says file:///a, the rows say file:/a
            path = "/" + url.removeprefix("file:").lstrip("/")
            pairs += [(url, f"{scheme}{path}") for scheme in _LOCAL]
        else:
            pairs.append((url, url))
    session = frame.sparkSession
    if session.version.startswith("3."):
        table = session.createDataFrame(pairs, "url string, shown string")
    else:  # as Arrow, which Spark 4 takes, the table goes to the JVM without a job
        columns = [pa.array(column, pa.string()) for column in zip(*pairs, strict=True)]
        table = session.createDataFrame(pa.table(columns, names=["url", "shown"]))
    rows = table.select("url", F.xxhash64("shown").alias("hash")).collect()
    return {row["hash"]: row["url"] for row in rows}


@dataclass(frozen=True)
class PartitionIndex:
    """An index from FILE to the position of a source partition in `names`.

    Attributes:
        names: source partitions that are processed, in order.
        hashes: int64, rising; empty where there is one partition.
        positions: int32, of the same length.
    """

    names: tuple[str, ...]
    hashes: np.ndarray
    positions: np.ndarray

    @staticmethod
    def from_plan(plan: ReadPlan, frame: "DataFrame") -> "PartitionIndex":
        """Build the index of the rows that a plan reads.

        Raises:
            LakeError: a file appeared since the lake was listed.
        """
        names = tuple(sorted(plan.processed))
        if plan.partitioning == "table" or plan.listing is None:
            return PartitionIndex(names, np.zeros(0, np.int64), np.zeros(0, np.int32))
        position = {name: i for i, name in enumerate(names)}
        positions: dict[int, int] = {}
        for hashed, url in find_files_by_hash(frame).items():
            path = plan.listing.find_url(url)
            name = (
                plan.listing.name_partition(path, plan.partitioning) if path is not None else None
            )
            if name not in position:
                raise LakeError(
                    f"{unquote(url)} appeared since the table was listed; run the command again"
                )
            positions[hashed] = position[name]
        hashes = sorted(positions)
        return PartitionIndex(
            names,
            np.array(hashes, np.int64),
            np.array([positions[hashed] for hashed in hashes], np.int32),
        )

    @property
    def needs_file(self) -> bool:
        """Return whether rows have to carry FILE."""
        return len(self.hashes) > 0 or len(self.names) > 1

    def locate_rows(self, file: np.ndarray) -> np.ndarray:
        """Return the int32 positions of the partitions of rows with these int64 FILE values.

        Raises:
            LakeError: a file appeared while the table was read.
        """
        if not len(file):
            return np.zeros(0, np.int32)
        index = np.minimum(np.searchsorted(self.hashes, file), len(self.hashes) - 1)
        if not len(self.hashes) or not np.array_equal(self.hashes[index], file):
            raise LakeError(
                "a file appeared in the main table while it was read; run the command again"
            )
        return self.positions[index]

    def sum_by_partition(self, rows: Mapping[int, int]) -> dict[str, int]:
        """Return the rows of every partition, given the rows of every FILE."""
        files = np.array(list(rows), np.int64)
        counts = np.zeros(len(self.names), np.int64)
        np.add.at(counts, self.locate_rows(files), np.array(list(rows.values()), np.int64))
        return dict(zip(self.names, counts.tolist(), strict=True))
