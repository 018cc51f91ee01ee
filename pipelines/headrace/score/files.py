"""Write the prediction files of a task: by source partition, in row groups of equal size."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake.score_record import PredictionFile
from headrace.lake.storage import write_object

_ROW_GROUP = 131_072
_HELD_ROWS = 1_000_000  # of all source partitions together, before some are written


@dataclass(frozen=True)
class PredictionLayout:
    """The layout of prediction files, the same for all tasks.

    Attributes:
        root, build_id: the table, and the job that is in the files' names.
        names, values, folders: of each source partition: its name, the values of its columns, and
            the folder of its files.
        schema: of a file.
        rows_per_file: rows after which the next file is begun.
    """

    root: str
    build_id: str
    names: tuple[str, ...]
    values: tuple[dict[str, str | None], ...]
    folders: tuple[str, ...]
    schema: pa.Schema
    rows_per_file: int


class PredictionWriter:
    """Writer of a task's files: one after the other for each source partition."""

    def __init__(self, layout: PredictionLayout, task: str) -> None:
        """
        Args:
            layout: of all tasks' files.
            task: in the names of this attempt's files, and in those of no other one.
        """
        self._layout, self._task = layout, task
        self._written: list[PredictionFile] = []
        self._held: dict[int, list[pa.Table]] = defaultdict(list)
        self._rows: Counter[int] = Counter()
        self._open: dict[int, _OpenFile] = {}
        self._number = 0

    def add_rows(self, table: pa.Table, partition: np.ndarray) -> None:
        """Add rows, with the positions of their source partitions."""
        for position in np.unique(partition).tolist():
            is_here = partition == position
            part = table if is_here.all() else table.filter(pa.array(is_here))
            self._held[position].append(part)
            self._rows[position] += part.num_rows
            if self._rows[position] >= _ROW_GROUP:
                self._write_held(position)
        while self._rows.total() > _HELD_ROWS:
            self._write_held(self._rows.most_common(1)[0][0])

    def close(self) -> list[PredictionFile]:
        """Write what is held, and return all files."""
        for position in sorted(self._held):
            self._write_held(position)
        for position in sorted(self._open):
            self._end_file(position)
        return self._written

    def _write_held(self, position: int) -> None:
        """Write the rows of a source partition that are held as one row group."""
        held = self._held.pop(position, [])
        del self._rows[position]
        if not held:
            return
        if position not in self._open:
            folder = self._layout.folders[position]
            name = f"part-{self._layout.build_id}-{self._task}-{self._number:04d}.parquet"
            path = f"{folder}/{name}" if folder else name
            self._number += 1
            self._open[position] = _OpenFile(self._layout, path)
        file = self._open[position]
        file.write_rows(pa.concat_tables(held))
        if file.rows >= self._layout.rows_per_file:
            self._end_file(position)

    def _end_file(self, position: int) -> None:
        file = self._open.pop(position)
        self._written.append(
            PredictionFile(
                path=file.path,
                partition=self._layout.names[position],
                values=self._layout.values[position],
                rows=file.rows,
                bytes=file.close(),
            )
        )


class _OpenFile:
    """A Parquet file, made in memory and written at once: stores take objects, not appends."""

    def __init__(self, layout: PredictionLayout, path: str) -> None:
        self.path, self.rows = path, 0
        self._root = layout.root
        self._sink = pa.BufferOutputStream()
        self._writer = pq.ParquetWriter(self._sink, layout.schema, write_page_checksum=True)

    def write_rows(self, table: pa.Table) -> None:
        """Add rows to the file in memory."""
        self._writer.write_table(table, row_group_size=_ROW_GROUP)
        self.rows += table.num_rows

    def close(self) -> int:
        """Write the file to the store, and return its bytes."""
        self._writer.close()
        content = self._sink.getvalue()
        write_object(self._root, self.path, content)
        return int(content.size)
