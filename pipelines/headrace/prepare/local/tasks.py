"""The tasks of a build without Spark: what one process does at a time.

They run the functions that Spark's tasks run, on the same blobs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import pyarrow as pa

from headrace.features.stored_texts import TextFiles
from headrace.prepare.local.assign import RowAssigner
from headrace.prepare.local.blob_store import KeptBlob, OpenBlobs, keep_blobs
from headrace.prepare.shuffle.arrow_blobs import Blob, read_blobs
from headrace.prepare.shuffle.map import make_map_function
from headrace.prepare.shuffle.merge_statistics import MergePlan, merge_blobs
from headrace.prepare.shuffle.options import ShuffleOptions
from headrace.prepare.shuffle.reduce import reduce_targets
from headrace.prepare.write.job import WriteOptions, write_targets
from headrace.source.local.csv_files import CsvSettings
from headrace.source.local.quarantine import Rejected, find_rejected
from headrace.source.local.row_parts import FilePart, read_part
from headrace.transform.arrow import load_transform

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Given(Generic[_Value]):
    """A value that tasks are given with their options.

    Attributes:
        value: itself.
    """

    value: _Value

    def unpersist(self) -> None:
        """Do nothing: nobody else keeps it."""


@dataclass(frozen=True)
class MapTask:
    """Read parts of files, assign their rows, and partition them.

    Attributes:
        table: the main table's name, for messages.
        parts: in the order of files and of rows in them.
        options: of the shuffle.
        assigner: of rows.
        quarantined: buckets whose rows go to quarantine.
        folder: for the blobs; None to keep them in memory.
        csv: how lines are read, where files are CSV and not Parquet.
    """

    table: str
    parts: tuple[FilePart, ...]
    options: ShuffleOptions
    assigner: RowAssigner
    quarantined: tuple[int, ...]
    folder: str | None
    csv: CsvSettings | None

    def run(self) -> tuple[list[KeptBlob], list[Rejected]]:
        """Return the blobs, and the rows that are rejected."""
        rejected: list[Rejected] = []

        def assign_batches() -> Iterator[pa.RecordBatch]:
            for part in self.parts:
                for read in read_part(self.table, part, self.assigner.columns, self.csv):
                    batch = self.assigner.assign_rows(
                        read.columns, part.number, read.first, read.rows
                    )
                    rejected.extend(find_rejected(batch, self.quarantined))
                    yield batch

        partition_rows = make_map_function(self.options, self.assigner.list_names())
        kept = keep_blobs(partition_rows(assign_batches()), self.folder)
        return kept, rejected


@dataclass(frozen=True)
class ReduceTask:
    """Bring the rows of targets together, see `reduce.py`.

    Attributes:
        options: of the shuffle.
        whole_groups: whether the task has all rows of its files.
        blobs: of the targets.
        folder: for the blobs that are made; None to keep them in memory.
    """

    options: ShuffleOptions
    whole_groups: bool
    blobs: list[KeptBlob] = field(repr=False)
    folder: str | None

    def run(self) -> list[KeptBlob]:
        """Return the blobs."""
        targets = OpenBlobs().open_targets(self.blobs)
        reduced = reduce_targets(targets, self.options, whole_groups=self.whole_groups)
        return keep_blobs(reduced, self.folder)


@dataclass(frozen=True)
class MergeTask:
    """Merge the statistics of some summaries.

    Attributes:
        plan: what is merged.
        blobs: sorted by summary.
    """

    plan: MergePlan
    blobs: list[KeptBlob] = field(repr=False)

    def run(self) -> list[Blob]:
        """Return the merged blobs."""
        return _list_blobs(merge_blobs(OpenBlobs().open_blobs(self.blobs), self.plan))


@dataclass(frozen=True)
class WriteTask:
    """Write the files of some targets.

    Attributes:
        options: where and how.
        transform: the fitted one, as JSON.
        texts: files that it has beside it.
        blobs: rows of the targets.
    """

    options: WriteOptions
    transform: str
    texts: TextFiles | None
    blobs: list[KeptBlob] = field(repr=False)

    def run(self) -> list[Blob]:
        """Return what is told of the files."""
        transform = load_transform(self.transform, self.texts)
        targets = OpenBlobs().open_targets(self.blobs)
        return _list_blobs(write_targets(targets, transform, self.options))


def _list_blobs(batches: Iterator[pa.RecordBatch]) -> list[Blob]:
    return [
        (kind, name, target, blob.to_pybytes())
        for batch in batches
        for kind, name, target, blob in read_blobs(batch)
    ]
