"""Which file, and so which source partition, a row is from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from headrace.errors import LakeError
from headrace.lake.source_partition import SourceFile
from headrace.source.listing import Listing, partition_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_LOCAL = ("file:", "file://")


class Chosen(Protocol):
    """What is to be read of the main table; `prepare.plan.Plan` is one."""

    @property
    def by(self) -> str | list[str]:
        """How the table is divided into source partitions, as `increments.by`."""

    @property
    def listing(self) -> Listing | None:
        """Its files; None where only Spark knows them."""

    @property
    def partitions(self) -> Mapping[str, tuple[SourceFile, ...]]:
        """Source partitions that there are, and their files."""

    @property
    def process(self) -> frozenset[str]:
        """Source partitions whose rows are read."""

    @property
    def kept(self) -> frozenset[str]:
        """Those that are there and not read."""

    def urls(self) -> list[str] | None:
        """Files to read; None where the whole table is."""


@lru_cache(maxsize=1)  # asked for more than once of the main table
def files_by_hash(frame: "DataFrame") -> dict[int, str]:
    """FILE of a row -> URL of its file, encoded as Spark lists it."""
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
        found = session.createDataFrame(pairs, "url string, shown string")
    else:  # as Arrow, which Spark 4 takes, the table goes to the JVM without a job
        columns = [pa.array(column, pa.string()) for column in zip(*pairs, strict=True)]
        found = session.createDataFrame(pa.table(columns, names=["url", "shown"]))
    rows = found.select("url", F.xxhash64("shown").alias("hash")).collect()
    return {row["hash"]: row["url"] for row in rows}


@dataclass(frozen=True)
class Places:
    """From FILE to the position of a source partition in `names`.

    Attributes:
        names: source partitions that are processed, in order.
        hashes: int64, rising; empty where there is one partition.
        positions: int32, of the same length.
    """

    names: tuple[str, ...]
    hashes: np.ndarray
    positions: np.ndarray

    @staticmethod
    def of(plan: Chosen, frame: "DataFrame") -> "Places":
        """The places of the rows that a plan reads.

        Raises:
            LakeError: a file is there that was not when the lake was listed.
        """
        names = tuple(sorted(plan.process))
        if plan.by == "table" or plan.listing is None:
            return Places(names, np.zeros(0, np.int64), np.zeros(0, np.int32))
        position = {name: i for i, name in enumerate(names)}
        found: dict[int, int] = {}
        for hashed, url in files_by_hash(frame).items():
            path = listed_path(unquote(url), plan.listing)
            name = partition_of(path, plan.by) if path is not None else None
            if name not in position:
                raise LakeError(
                    f"{unquote(url)} appeared while the build was starting; run it again"
                )
            found[hashed] = position[name]
        hashes = np.array(sorted(found), np.int64)
        return Places(names, hashes, np.array([found[h] for h in hashes.tolist()], np.int32))

    @property
    def by_file(self) -> bool:
        """Whether rows have to say which file they are from."""
        return len(self.hashes) > 0 or len(self.names) > 1

    def of_rows(self, file: np.ndarray) -> np.ndarray:
        """int32 positions of the partitions of rows with these int64 FILE values.

        Raises:
            LakeError: a file appeared during the build.
        """
        if not len(file):
            return np.zeros(0, np.int32)
        at = np.minimum(np.searchsorted(self.hashes, file), len(self.hashes) - 1)
        if not len(self.hashes) or not np.array_equal(self.hashes[at], file):
            raise LakeError("a file appeared in the main table during the build; run it again")
        return self.positions[at]

    def by_name(self, rows: Mapping[int, int]) -> dict[str, int]:
        """Rows a partition, of rows a file."""
        files = np.array(list(rows), np.int64)
        counts = np.zeros(len(self.names), np.int64)
        np.add.at(counts, self.of_rows(files), np.array(list(rows.values()), np.int64))
        return dict(zip(self.names, counts.tolist(), strict=True))


def listed_path(url: str, listing: Listing) -> str | None:
    """The file's path in the listing: the longest end of the URL that is one."""
    parts = url.split("/")
    for start in range(1, len(parts)):
        path = "/".join(parts[start:])
        if path in listing.files:
            return path
    return "" if "" in listing.files else None
