"""The tasks of a build without Spark: what one process does at a time.

They run the functions that Spark's tasks run, on the same blobs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.errors import LakeError, get_first_line
from headrace.features.stored_texts import TextFiles
from headrace.prepare.local.assign import RowAssigner
from headrace.prepare.local.blob_store import KeptBlob, OpenBlobs, keep_blobs
from headrace.prepare.local.csv_files import CsvSettings, read_csv_file
from headrace.prepare.local.needs_spark import NeedsSparkError
from headrace.prepare.shuffle.arrow_blobs import Blob, read_blobs
from headrace.prepare.shuffle.map import make_map_function
from headrace.prepare.shuffle.merge_statistics import MergePlan, merge_blobs
from headrace.prepare.shuffle.options import ShuffleOptions
from headrace.prepare.shuffle.reduce import reduce_targets
from headrace.prepare.write.job import WriteOptions, write_targets
from headrace.source.internal_columns import BUCKET, FILE, POSITION, PROBLEMS
from headrace.source.invalid_texts import replace_invalid_texts
from headrace.source.late_reader import find_row_group_starts
from headrace.source.local_files import LocalFile
from headrace.source.quarantine.writer import QuarantineFile, add_reasons, name_file
from headrace.transform.arrow import load_transform

_READ_ROWS = 65_536
_UNREADABLE = (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)
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
class FilePart:
    """Row groups that follow each other in a file.

    Attributes:
        number: of the file, the FILE of its rows.
        file: itself.
        begin, end: the first row group, and the one after the last; None for the file's end.
    """

    number: int
    file: LocalFile
    begin: int = 0
    end: int | None = None


@dataclass(frozen=True)
class Rejected:
    """Rows of a file that go to quarantine.

    Attributes:
        file: its number.
        position: of the rows in it, int64, rising.
        problems: PROBLEMS of each.
    """

    file: int
    position: np.ndarray
    problems: list[str]


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
                for batch in _assign_part(self.table, part, self.assigner, self.csv):
                    rejected.extend(_find_rejected(batch, self.quarantined))
                    yield batch

        partition_rows = make_map_function(self.options, self.assigner.list_names())
        kept = keep_blobs(partition_rows(assign_batches()), self.folder)
        return kept, rejected


def _assign_part(
    table: str, part: FilePart, assigner: RowAssigner, csv: CsvSettings | None
) -> Iterator[pa.RecordBatch]:
    read = _read_lines(part, csv) if csv is not None else _read_row_groups(part, assigner)
    while True:
        try:  # what is computed of the rows fails by other names
            part.file.refuse_change(table)
            first, batch = next(read)
        except StopIteration:
            return
        except _UNREADABLE as error:
            reason = get_first_line(error) or type(error).__name__
            raise LakeError(
                f"table {table!r}: {part.file.path} cannot be read: {reason}; restore or remove "
                "it, or, where Spark can read it, set spark.above_rows to 0"
            ) from None
        found = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns = {
            name: convert_column(found.get(name), kind, batch.num_rows)
            for name, kind in assigner.columns.items()
        }
        yield assigner.assign_rows(columns, part.number, first, batch.num_rows)


def _read_lines(part: FilePart, csv: CsvSettings) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the position of a batch's first row in the file, and the batch."""
    first = 0
    for batch in read_csv_file(part.file.path, csv).to_batches(_READ_ROWS):
        yield first, batch
        first += batch.num_rows


def _read_row_groups(part: FilePart, assigner: RowAssigner) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the same of row groups, with the columns that are read early and that the file has."""
    opened = pq.ParquetFile(part.file.path, pre_buffer=False, page_checksum_verification=True)
    schema, starts = opened.schema_arrow, find_row_group_starts(opened.metadata)
    names = [name for name in assigner.columns if name in schema.names]
    for name in names:
        kind = schema.field(name).type
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            raise NeedsSparkError(f"column {name} has times in nanoseconds")
    groups = range(part.begin, len(starts) - 1 if part.end is None else part.end)
    first = int(starts[part.begin])
    for batch in opened.iter_batches(
        _READ_ROWS, row_groups=groups, columns=names, use_threads=False
    ):
        yield first, batch
        first += batch.num_rows


def convert_column(column: pa.Array | None, kind: pa.DataType, rows: int) -> pa.Array:
    """Return a column of a file in the type that it has in the table; nulls where it has none.

    Raises:
        NeedsSparkError: Arrow does not convert it.
    """
    if column is None:
        return pa.nulls(rows, kind)
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.type == kind:
        return column
    try:
        return pc.cast(column, options=pc.CastOptions(kind, allow_invalid_utf8=True))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise NeedsSparkError(f"a column of {column.type} is read as {kind}") from None


def _find_rejected(batch: pa.RecordBatch, quarantined: Sequence[int]) -> list[Rejected]:
    rows = np.flatnonzero(np.isin(batch[BUCKET].to_numpy(), quarantined))
    if not len(rows):
        return []
    problems = batch[PROBLEMS].take(pa.array(rows)).to_pylist()
    file = int(batch[FILE][0].as_py())
    return [Rejected(file, batch[POSITION].to_numpy()[rows], problems)]


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


@dataclass(frozen=True)
class QuarantineTask:
    """Write rejected rows: all columns as they were read, the rules they broke and why.

    Attributes:
        table: the main table's name, for messages.
        columns: of the table, in order -> type in Arrow.
        checks: names of all checks.
        folder: of the quarantine.
        number: in the file's name.
        files: number of a file -> the file.
        folder_values: the same -> column of the folders' names -> value.
        rejected: the rows.
        csv: how lines are read, where files are CSV and not Parquet.
    """

    table: str
    columns: Mapping[str, pa.DataType]
    checks: tuple[str, ...]
    folder: str
    number: int
    files: Mapping[int, LocalFile]
    folder_values: Mapping[int, Mapping[str, pa.Scalar]]
    rejected: list[Rejected] = field(repr=False)
    csv: CsvSettings | None

    def run(self) -> int:
        """Return how many rows were written."""
        with QuarantineFile(self.folder, name_file(f"{self.number:05d}")) as file:
            for part in self.rejected:
                for rows, problems in self._read_rows(part):
                    file.write_rows(add_reasons(rows, problems, self.checks))
        return file.rows

    def _read_rows(self, part: Rejected) -> Iterator[tuple[pa.Table, list[str]]]:
        source = self.files[part.file]
        try:
            source.refuse_change(self.table)
            if self.csv is not None:
                lines = read_csv_file(source.path, self.csv).take(pa.array(part.position))
                rows = self._order_columns(lines, part.file)
                no_text = pa.nulls(rows.num_rows, pa.string())
                yield rows.append_column("malformed_line", no_text), part.problems
                return
            opened = pq.ParquetFile(source.path, pre_buffer=False, page_checksum_verification=True)
            starts = find_row_group_starts(opened.metadata)
            groups = np.unique(np.searchsorted(starts, part.position, side="right") - 1)
            for group in groups.tolist():
                begin, end = np.searchsorted(part.position, starts[group : group + 2]).tolist()
                rows = opened.read_row_group(group, use_threads=False)
                rows = rows.take(pa.array(part.position[begin:end] - starts[group]))
                yield self._order_columns(rows, part.file), part.problems[begin:end]
        except _UNREADABLE as error:
            raise LakeError(
                f"table {self.table!r}: {source.path} cannot be read: {get_first_line(error)}; "
                "restore or remove it"
            ) from None

    def _order_columns(self, rows: pa.Table, file: int) -> pa.Table:
        values = self.folder_values[file]
        columns = []
        for name, kind in self.columns.items():
            if name in values:
                columns.append(pa.repeat(values[name], rows.num_rows))
            else:
                stored = rows[name].combine_chunks() if name in rows.column_names else None
                columns.append(convert_column(stored, kind, rows.num_rows))
        return replace_invalid_texts(pa.Table.from_arrays(columns, names=[*self.columns]))
