"""Hand what tasks counted of files to the driver: sums as results, single files' by the store.

A file of a table of 2,000 columns has counts of some 100 KiB, which are in the build's sidecar for
versions that keep some files and drop others. Were they results of tasks, the driver would hold
those of all files, and Spark would end the job at `spark.driver.maxResultSize`. A task writes them
to the sidecar instead; the driver gets their sums by split, and joins the tasks' files, one after
the other, as it writes the sidecar.
"""

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake.damage import read_parquet
from headrace.lake.profile import FileTally
from headrace.lake.sidecar import locate_sidecar
from headrace.lake.storage import explain_storage_errors, open_filesystem, write_object

_FOLDER = "tallies"
# Files whose tallies a task holds at once.
_FILES_HELD = 64


class TaskTallies:
    """The tallies of the files that a task writes."""

    def __init__(self, root: str, build_id: str, attempt: int) -> None:
        """
        Args:
            root, build_id: of the dataset and the build.
            attempt: of the task; its files have names of their own.
        """
        self._folder = locate_tallies(root, build_id)
        self._attempt = attempt
        self._held: list[tuple[str, FileTally]] = []
        self._target = 0

    def add_file(self, split: str, target: int, tally: FileTally) -> None:
        """Add the tally of a file of a split and target."""
        if not self._held:
            self._target = target
        self._held.append((split, tally))

    @property
    def is_full(self) -> bool:
        """Return whether tallies are to be written before others are added."""
        return len(self._held) >= _FILES_HELD

    def write_file(self) -> tuple[str, int, bytes] | None:
        """Write the tallies to a file.

        Returns:
            the file's name, its first target, and the sums by split, which `read_sums` reads; None
            where there are no tallies.
        """
        if not self._held:
            return None
        name = f"{self._target:05d}-{self._attempt}.parquet"
        tallies = [tally for _, tally in self._held]
        write_object(self._folder, name, FileTally.write_tallies(tallies))
        sums = FileTally.write_tallies(sum_by_split(self._held))
        self._held = []
        return name, self._target, sums


def locate_tallies(root: str, build_id: str) -> str:
    """Return the folder of the tallies that tasks of a build write."""
    return f"{locate_sidecar(root, build_id)}/{_FOLDER}"


def sum_by_split(tallies: list[tuple[str, FileTally]]) -> list[FileTally]:
    """Return the sum of each split's tallies, with the split as path."""
    sums: dict[str, FileTally] = {}
    for split, tally in tallies:
        total = sums.setdefault(split, FileTally(split, {}, {}, {}))
        for name, counts in tally.counts.items():
            total.counts[name] = total.counts.get(name, np.int64(0)) + counts
        for own, other in ((total.unknown, tally.unknown), (total.missing, tally.missing)):
            for name, rows in other.items():
                own[name] = own.get(name, 0) + rows
    return list(sums.values())


def read_sums(blob: bytes) -> list[tuple[str, FileTally]]:
    """Return the splits and sums that `TaskTallies.write_file` returned."""
    return [(tally.path, tally) for tally in FileTally.read_tallies(blob)]


def join_tallies(root: str, build_id: str, names: Collection[str]) -> bytes:
    """Join the files that tasks wrote to one, as `FileTally.write_tallies` writes it, and remove
    them.

    Args:
        root, build_id: of the dataset and the build.
        names: of the files; those of attempts that failed are not among them.

    Raises:
        UnreachableError: the store does not answer.
    """
    if not names:
        return FileTally.write_tallies([])
    return join_files(locate_tallies(root, build_id), names)


def join_files(folder: str, names: Collection[str]) -> bytes:
    """Join Parquet files of one schema that tasks wrote, and remove their folder.

    Args:
        folder: of the files.
        names: of the files, one or more.

    Raises:
        UnreachableError: the store does not answer.
    """
    filesystem, path = open_filesystem(folder)
    sink = pa.BufferOutputStream()
    writer = None
    with explain_storage_errors(folder):
        for name in sorted(names):
            table = read_parquet(filesystem.cat_file(f"{path}/{name}"), f"{folder}/{name}")
            writer = writer or pq.ParquetWriter(sink, table.schema, write_page_checksum=True)
            writer.write_table(table)
        assert writer is not None
        writer.close()
        filesystem.rm(path, recursive=True)
    return bytes(sink.getvalue())
