"""Quarantine rejected rows from inside the tasks that read them, by their file and position in it.

`by_query.py` reads the table once more for them. Where the tasks read columns themselves
(`late_reader.py`) they can as well read the few rows that were rejected. Measured (2 cores,
2 million rows of 41 columns, 7 thousand rejected): scoring took 46 s with another query, 36 s with
this.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import LakeError
from headrace.lake.storage import explain_storage_errors, open_filesystem
from headrace.source.internal_columns import FILE, POSITION, PROBLEMS
from headrace.source.invalid_texts import replace_invalid_texts
from headrace.source.late_materialization import LateColumns
from headrace.source.late_reader import find_row_group_starts
from headrace.source.listing import get_folder, parse_folder_values
from headrace.source.quarantine.writer import QuarantineFile, add_reasons, name_file

_HELD_ROWS = 100_000


class RejectedRows:
    """A task's rejected rows: noted as they are met, read and written at the end."""

    def __init__(
        self,
        late: LateColumns,
        folder: str,
        task: str,
        checks: Sequence[str],
        partition_columns: Sequence[str],
        logged_values: Mapping[str, Mapping[str, str | None]] | None = None,
    ) -> None:
        """
        Args:
            late: where the table's files are.
            folder: of the quarantine.
            task: in the names of this attempt's files, and in those of no other one.
            checks: names of all checks.
            partition_columns: columns that are in no file, but in the names of folders.
            logged_values: path of a file -> column -> its value, where a log says them.
        """
        self._late, self._folder, self._task = late, folder, task
        self._checks, self._columns = checks, partition_columns
        self._logged_values = logged_values or {}
        self._noted: dict[int, list[tuple[np.ndarray, list[str]]]] = defaultdict(list)
        self._held: dict[pa.Schema, list[pa.Table]] = defaultdict(list)
        self._written = 0
        self._files: list[str] = []

    def add_rows(self, rows: pa.Table) -> None:
        """Note rejected rows, which have FILE, POSITION and PROBLEMS."""
        file, position = rows[FILE].to_numpy(), rows[POSITION].to_numpy()
        problems = replace_invalid_texts(rows.select([PROBLEMS]))[PROBLEMS].to_pylist()
        for number in np.unique(file).tolist():
            rows_of_file = np.flatnonzero(file == number)
            texts = [problems[i] or "" for i in rows_of_file.tolist()]
            self._noted[number].append((position[rows_of_file], texts))

    def write_files(self) -> tuple[int, list[str]]:
        """Read the rows that were noted and write them; return how many, and the files' names.

        Raises:
            LakeError: a file is gone, or was changed.
        """
        for file, noted in self._noted.items():
            position = np.concatenate([part[0] for part in noted])
            problems = [text for part in noted for text in part[1]]
            order = np.argsort(position, kind="stable")
            self._read_rows(file, position[order], [problems[i] for i in order.tolist()])
        for schema in list(self._held):
            self._flush_held(schema)
        return self._written, self._files

    def _read_rows(self, file: int, position: np.ndarray, problems: list[str]) -> None:
        """Read rows at ascending positions of one file."""
        source = self._late.files[file]
        path = source.path
        values = self._logged_values.get(path) or parse_folder_values(get_folder(path))
        try:
            source.refuse_change(self._late.table)
            opened = pq.ParquetFile(path, pre_buffer=False)
            starts = find_row_group_starts(opened.metadata)
            for group in np.unique(np.searchsorted(starts, position, side="right") - 1).tolist():
                begin, end = np.searchsorted(position, starts[group : group + 2]).tolist()
                rows = opened.read_row_group(group, use_threads=False)
                rows = rows.take(pa.array(position[begin:end] - starts[group]))
                self._hold_rows(rows, problems[begin:end], values)
        except (OSError, pa.ArrowInvalid) as error:
            raise LakeError(
                f"table {self._late.table!r}: {path} cannot be read: {error}; restore or remove it"
            ) from None

    def _hold_rows(
        self, rows: pa.Table, problems: list[str], values: Mapping[str, str | None]
    ) -> None:
        """Hold rows, with the columns that are in no file, until there are enough for a file."""
        for column in self._columns:
            if column not in rows.column_names and column in values:
                constant = pa.array([values[column]] * rows.num_rows, pa.string())
                rows = rows.append_column(column, constant)
        rows = add_reasons(replace_invalid_texts(rows), problems, self._checks)
        schema = rows.schema.remove_metadata()
        self._held[schema].append(rows.replace_schema_metadata(None))
        if sum(table.num_rows for table in self._held[schema]) >= _HELD_ROWS:
            self._flush_held(schema)

    def _flush_held(self, schema: pa.Schema) -> None:
        with QuarantineFile(self._folder, name_file(self._task, len(self._files))) as file:
            file.write_rows(pa.concat_tables(self._held.pop(schema)))
        self._files.append(file.name)
        self._written += file.rows


def remove_other_files(folder: str, names: Collection[str]) -> None:
    """Remove from a quarantine the files of attempts that were not counted.

    Args:
        folder: of the quarantine; there may be none.
        names: of the files that stay.
    """
    files, path = open_filesystem(folder)
    with explain_storage_errors(folder):
        for file in files.ls(path, detail=False) if files.isdir(path) else []:
            if str(file).rpartition("/")[2] not in names:
                files.rm_file(file)
