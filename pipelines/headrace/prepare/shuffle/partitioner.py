"""Which data file a row goes to: by its source partition and its key, and by nothing else.

Rows of one key have to meet, whatever source partition they are from: they do at a *target*. A data
file has rows of one source partition. So that rows need not be moved a second time, targets make
*groups*, and every source partition has files of its own in every group: who has the rows of a
group can write its files. Where a group is too large for one task, or there are fewer groups than
the cluster has use for, rows are dealt out again (`gather.py`); the files are the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

# Rows of other source partitions that a target compares its rows with, of 12 bytes each.
_RIVALS_A_TARGET = 1_000_000
# A target has the rows of so many files where rows are that small, and targets are enough.
_FILES_A_TARGET, _TARGET_BYTES, _ENOUGH_TARGETS = 4, 128 * 2**20, 16
# Files whose rows one task may hold at once, of 65,536 rows each by default.
_FILES_HELD = 32


@dataclass(frozen=True)
class Layout:
    """Targets, groups and files of a build.

    Attributes:
        groups: how many.
        targets_a_group: targets of each of them.
        sizes: files of each source partition in each of the groups, one or more.
        files_a_target: how many files' rows a target has, about.
    """

    groups: int
    targets_a_group: int
    sizes: tuple[int, ...]
    files_a_target: int = 1

    @staticmethod
    def of(
        rows: Sequence[int], rows_per_file: int, rivals: int = 0, row_bytes: int = 0
    ) -> "Layout":
        """The layout of rows that may be published.

        Fewer and larger targets are cheaper, as each has its own blobs and statistics (5 million
        rows in 80 targets: 65 s of CPU in Python; in 40: 58; in 24: 60).

        Args:
            rows: of every source partition.
            rows_per_file: about how many a file is to have.
            rivals: rows that are not written and are compared with those that are.
            row_bytes: of a raw row, about; 0 where rows are large.
        """
        total = sum(rows)
        files = min(
            _FILES_A_TARGET,
            _TARGET_BYTES // (row_bytes * rows_per_file) if row_bytes else 1,
            total // (rows_per_file * _ENOUGH_TARGETS),
        )
        files = max(1, files)
        groups = max(1, math.ceil(total / (max(files, len(rows)) * rows_per_file)))
        if groups > 4 and len(rows) > 1:  # as many for every core, of 2 or 4
            groups = -(-groups // 4) * 4
        targets = max(
            1,
            math.ceil(total / (groups * files * rows_per_file)),
            math.ceil(rivals / (groups * _RIVALS_A_TARGET)),
        )
        sizes = tuple(max(1, math.ceil(n / (groups * rows_per_file))) for n in rows)
        return Layout(groups, targets, sizes, files)

    @property
    def targets(self) -> int:
        return self.groups * self.targets_a_group

    @property
    def files(self) -> int:
        """A file a split and number below this."""
        return self.groups * sum(self.sizes)

    def in_one_task(self, cores: int, *, large: bool) -> bool:
        """Whether tasks take a group each and make all of its files.

        Args:
            cores: of the cluster.
            large: rows are lists or images.
        """
        if self.targets_a_group == 1:
            return True
        held = self.targets_a_group * self.files_a_target
        return not large and held <= _FILES_HELD and self.groups >= 2 * cores

    def target_of(self, identity: np.ndarray) -> np.ndarray:
        """int32 targets of rows, by the int64 hash of their key."""
        return (identity.view(np.uint64) % np.uint64(self.targets)).astype(np.int32)

    def file_of(self, partition: np.ndarray, identity: np.ndarray) -> np.ndarray:
        """int32 files of rows, by the position of the source partition and the hash of the key."""
        sizes = np.array(self.sizes, np.uint64)[partition]
        firsts = np.cumsum([0, *self.sizes[:-1]], dtype=np.int64)[partition] * self.groups
        group = self.target_of(identity) // self.targets_a_group
        inside = (identity.view(np.uint64) // np.uint64(self.targets)) % sizes
        return (firsts + group * sizes.astype(np.int64) + inside.astype(np.int64)).astype(np.int32)

    def partition_of(self, file: int) -> int:
        """Position of the source partition that the file's rows are from."""
        ends = np.cumsum(self.sizes) * self.groups
        return int(np.searchsorted(ends, file, side="right"))


def dealt_evenly(spark: "SparkSession", number: "Column", tasks: int) -> "Column":
    """What to repartition by so that `number` 0, 1, 2, … go to the tasks in turn.

    Spark hashes what it repartitions by: some tasks would get several numbers and others none. Here
    each number stands for one whose hash falls where it should.
    """
    import pyspark.sql.functions as F

    candidates = spark.range(64 + 16 * tasks, numPartitions=1).select(F.col("id").cast("int"))
    place = F.pmod(F.hash("id"), F.lit(tasks))
    found = {
        row["place"]: row["id"] for row in candidates.select("id", place.alias("place")).collect()
    }
    if len(found) < tasks:  # a place that no candidate falls on
        return number
    stand_ins = F.array(*(F.lit(found[i]).cast("int") for i in range(tasks)))
    return F.element_at(stand_ins, F.pmod(number, F.lit(tasks)).cast("int") + 1)
