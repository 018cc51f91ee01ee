"""Write rejected rows without Spark: found again by their file and position in it.

The files are as `source.quarantine.by_query` writes them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import LakeError, get_first_line
from headrace.source.internal_columns import BUCKET, FILE, POSITION, PROBLEMS, is_internal
from headrace.source.invalid_texts import replace_invalid_texts
from headrace.source.late_reader import find_row_group_starts
from headrace.source.local.csv_files import CsvSettings, read_csv_file
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.local.row_parts import UNREADABLE, convert_column
from headrace.source.local.table import LocalTable
from headrace.source.local.workers import deal_groups
from headrace.source.local_files import LocalFile
from headrace.source.quarantine.writer import QuarantineFile, add_reasons, name_file
from headrace.source.tables import TableColumns


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


def find_rejected(batch: pa.RecordBatch, quarantined: Sequence[int]) -> list[Rejected]:
    """Find the rows of a batch that are in one of some buckets.

    Args:
        batch: rows of one file, with FILE, POSITION, BUCKET and PROBLEMS.
        quarantined: the buckets.
    """
    rows = np.flatnonzero(np.isin(batch[BUCKET].to_numpy(), quarantined))
    if not len(rows):
        return []
    problems = batch[PROBLEMS].take(pa.array(rows)).to_pylist()
    file = int(batch[FILE][0].as_py())
    return [Rejected(file, batch[POSITION].to_numpy()[rows], problems)]


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
        except UNREADABLE as error:
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


def plan_quarantine(
    table: LocalTable,
    columns: Mapping[str, pa.DataType],
    checks: Sequence[str],
    folder: str,
    rejected: Sequence[Rejected],
    tasks: int,
) -> list[QuarantineTask]:
    """Plan the tasks that write rejected rows.

    Args:
        table: the main table.
        columns: of `list_quarantine_types`.
        checks: names of all checks.
        folder: of the quarantine.
        rejected: the rows.
        tasks: how many there are at most.
    """
    by_file: dict[int, list[Rejected]] = defaultdict(list)
    for part in rejected:
        by_file[part.file].append(part)
    groups = [[_join(by_file[file])] for file in sorted(by_file)]
    return [
        QuarantineTask(
            table=table.columns.name,
            columns=columns,
            checks=tuple(checks),
            folder=folder,
            number=number,
            files={part.file: table.files[part.file] for part in parts},
            folder_values={part.file: table.folder_values[part.file] for part in parts},
            rejected=parts,
            csv=table.csv,
        )
        for number, parts in enumerate(deal_groups(groups, tasks))
    ]


def list_quarantine_types(table: TableColumns) -> dict[str, pa.DataType]:
    """List the columns of a table and their types in Arrow, for its quarantine: as they are read,
    and where values may be lost, as they are stored.

    Raises:
        NeedsSparkError: a column has a type of more than one value.
    """
    types = {}
    for name in table.stored.names:
        if is_internal(name):
            continue
        try:
            schema = table.stored if name in table.casts else table.schema
            types[name] = schema.get_arrow_type(name)
        except KeyError:
            kind = table.stored.sql_types[name]
            raise NeedsSparkError(f"column {name} is {kind}, and rows may be rejected") from None
    return types


def _join(parts: Sequence[Rejected]) -> Rejected:
    """Join the rejected rows of a file in the order of their positions."""
    position = np.concatenate([part.position for part in parts])
    problems = [text for part in parts for text in part.problems]
    order = np.argsort(position, kind="stable")
    return Rejected(parts[0].file, position[order], [problems[i] for i in order.tolist()])
