"""Partition rows by target and data file: by their source partition and key, and by nothing else.

Rows of one key have to meet, whatever source partition they are from: they do at a *target*. A data
file has rows of one source partition. So that rows need not be moved a second time, targets make
*groups*, and every source partition has files of its own in every group: a task that has the rows
of a group can write its files. Where a group is too large for one task, or there are fewer groups
than the cluster has use for, rows are partitioned again (`reduce.py`); the files are the same.

Where there are more targets than a task's rows can be dealt to, a task deals them to *buckets* of
targets, which are divided in a second round (`buckets.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyspark.sql import Column

# Rows of other source partitions that a target compares its rows with, of 12 bytes each.
_UNREAD_KEYS_PER_TARGET = 1_000_000
# A target has the rows of up to this many files, where they are that small and targets are enough.
_FILES_PER_TARGET, _TARGET_BYTES, _ENOUGH_TARGETS = 4, 128 * 2**20, 16
# Files whose rows one task may hold at once, of 65,536 rows each by default.
_FILES_HELD = 32
# Up to here a task's rows go straight to their targets; beyond, to buckets of them. Processor time
# in Python of one round, with the blobs read again (16 columns, 262,144 rows): 0.17 us a row at 16
# targets, 0.2 at 512, 0.3 at 1,024, 0.9 at 4,096, 14 at 65,536. A round of buckets takes 0.2, and
# the JVM another shuffle of blobs.
_TARGETS_AT_ONCE, _LARGE_TARGETS_AT_ONCE, _BUCKETS = 512, 4096, 256


@dataclass(frozen=True)
class Partitioner:
    """The targets, groups and files of a build.

    Attributes:
        groups: how many.
        targets_per_group: targets of every group.
        files_per_group: files of each source partition in every group, one or more.
        files_per_target: how many files' rows a target has, about.
        targets_per_bucket: targets of every bucket; 1 where rows go straight to their targets.
    """

    groups: int
    targets_per_group: int
    files_per_group: tuple[int, ...]
    files_per_target: int = 1
    targets_per_bucket: int = 1

    @staticmethod
    def for_rows(
        rows: Sequence[int], rows_per_file: int, unread_keys: int = 0, row_bytes: int = 0
    ) -> "Partitioner":
        """Choose the partitioner of rows that may be published.

        Fewer and larger targets are cheaper, as each has its own blobs and statistics (5 million
        rows in 80 targets: 65 s of CPU in Python; in 40: 58; in 24: 60).

        Args:
            rows: of every source partition.
            rows_per_file: about how many a file is to have.
            unread_keys: rows that are not read, whose keys are compared with those that are.
            row_bytes: of a raw row, about; 0 where rows are large.
        """
        total = sum(rows)
        files = min(
            _FILES_PER_TARGET,
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
            math.ceil(unread_keys / (groups * _UNREAD_KEYS_PER_TARGET)),
        )
        files_per_group = tuple(max(1, math.ceil(n / (groups * rows_per_file))) for n in rows)
        per_bucket = choose_targets_per_bucket(groups * targets, large=not row_bytes)
        return Partitioner(groups, targets, files_per_group, files, per_bucket)

    @property
    def targets(self) -> int:
        """Return how many targets there are."""
        return self.groups * self.targets_per_group

    @property
    def buckets(self) -> int:
        """Return how many buckets of neighbouring targets there are."""
        return math.ceil(self.targets / self.targets_per_bucket)

    @property
    def files(self) -> int:
        """Return how many files there are of each split; their numbers are below this."""
        return self.groups * int(self._ends[-1])

    @cached_property
    def _sizes(self) -> np.ndarray:
        """Return the files of each source partition in every group, uint64 (partitions,)."""
        return np.array(self.files_per_group, np.uint64)

    @cached_property
    def _ends(self) -> np.ndarray:
        """Return their sums up to each source partition, int64 (partitions,)."""
        return np.cumsum(self.files_per_group, dtype=np.int64)

    def fits_one_task(self, cores: int, *, large: bool) -> bool:
        """Return whether a task can take a whole group and make all of its files.

        Args:
            cores: of the cluster.
            large: whether rows have lists or images.
        """
        if self.targets_per_group == 1:
            return True
        files_held = self.targets_per_group * self.files_per_target
        return not large and files_held <= _FILES_HELD and self.groups >= 2 * cores

    def assign_targets(self, identity: np.ndarray) -> np.ndarray:
        """Return the int32 targets of rows, by their int64 ROW_ID."""
        return (identity.view(np.uint64) % np.uint64(self.targets)).astype(np.int32)

    def assign_buckets(self, identity: np.ndarray) -> np.ndarray:
        """Return the int32 buckets of rows, by their int64 ROW_ID."""
        target = self.assign_targets(identity)
        return target if self.targets_per_bucket == 1 else target // self.targets_per_bucket

    def assign_files(self, partition: np.ndarray, identity: np.ndarray) -> np.ndarray:
        """Return the int32 files of rows, by the position of their partition and their ROW_ID."""
        sizes = self._sizes[partition]
        firsts = (self._ends[partition] - sizes.astype(np.int64)) * self.groups
        group = self.assign_targets(identity) // self.targets_per_group
        inside = (identity.view(np.uint64) // np.uint64(self.targets)) % sizes
        return (firsts + group * sizes.astype(np.int64) + inside.astype(np.int64)).astype(np.int32)

    def get_partition(self, file: int) -> int:
        """Return the position of the source partition that a file's rows are from."""
        return int(np.searchsorted(self._ends, file // self.groups, side="right"))


def limit_rows_per_file(rows_per_file: int, row_bytes: int) -> int:
    """Return how many rows a file has at most, so that a task can hold it and Spark move it.

    A file's rows are one value of a row in Spark, which copies it within the JVM's heap. Rows of
    2,000 columns are 20 kB: files of 65,536 rows, of 1.3 GB, ended a driver of 3 GiB.

    Args:
        rows_per_file: of the recipe.
        row_bytes: of a raw row, about; 0 where rows are large, which have tasks of their own.
    """
    return max(1, min(rows_per_file, _TARGET_BYTES // row_bytes)) if row_bytes else rows_per_file


def choose_targets_per_bucket(targets: int, *, large: bool = False) -> int:
    """Choose how many targets a bucket has; 1 where rows go straight to their targets.

    There are 256 buckets, and more only beyond 65,536 targets, as many as each has targets.

    Args:
        targets: of all rows.
        large: whether rows have lists or images; a blob of few of these is not small, and to move
            them once more is costly.
    """
    if targets <= (_LARGE_TARGETS_AT_ONCE if large else _TARGETS_AT_ONCE):
        return 1
    return math.ceil(targets / max(_BUCKETS, math.isqrt(targets)))


def distribute_evenly(number: "Column", tasks: int) -> "Column":
    """Return the column to repartition by so that `number` 0, 1, 2, … go to the tasks in turn.

    Spark hashes what it repartitions by: some tasks would get several numbers and others none. Here
    each number is replaced by one whose hash is that of its task.
    """
    import pyspark.sql.functions as F

    # One literal, which Spark evaluates once: one for each of 16,000 tasks took 280,000 calls of
    # the JVM, and 25 s.
    listed = ",".join(map(str, find_substitutes(tasks).tolist()))
    substitutes = F.split(F.lit(listed), ",").cast("array<int>")
    return F.element_at(substitutes, F.pmod(number, F.lit(tasks)).cast("int") + 1)


def find_substitutes(tasks: int) -> np.ndarray:
    """Find for each of so many tasks a number that Spark repartitions to it, int32 (tasks,)."""
    candidates = 64 + 16 * tasks
    while True:
        numbers = np.arange(candidates, dtype=np.int32)
        task, first = np.unique(
            hash_like_spark(numbers).astype(np.int64) % tasks, return_index=True
        )
        if len(task) == tasks:
            return numbers[first]
        candidates *= 2


def hash_like_spark(numbers: np.ndarray) -> np.ndarray:
    """Hash int32 numbers as Spark's `hash` does: MurmurHash3 (x86, 32 bits) with seed 42."""
    with np.errstate(over="ignore"):
        word = numbers.astype(np.int32).view(np.uint32) * np.uint32(0xCC9E2D51)
        word = _rotate(word, 15) * np.uint32(0x1B873593)
        state = _rotate(np.uint32(42) ^ word, 13) * np.uint32(5) + np.uint32(0xE6546B64)
        state ^= np.uint32(4)  # bytes of a number
        state = (state ^ (state >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        state = (state ^ (state >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        state ^= state >> np.uint32(16)
    return state.view(np.int32)


def _rotate(words: np.ndarray, bits: int) -> np.ndarray:
    """Rotate words of 32 bits to the left."""
    return (words << np.uint32(bits)) | (words >> np.uint32(32 - bits))
