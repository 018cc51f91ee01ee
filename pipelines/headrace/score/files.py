"""The files of predictions that a task writes: by source partition, in row groups of some size."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake.score_record import PredictionFile
from headrace.lake.storage import open_files, reaching

_ROW_GROUP = 131_072
_HELD_ROWS = 1_000_000  # of all source partitions together, before some are written


@dataclass(frozen=True)
class Output:
    """Where the tasks write, and what.

    Attributes:
        root, build_id: where files go, and what they are named by.
        names, values, folders: of each source partition: what it is called, its columns, and where
            its files go.
        schema: of a file.
        rows_per_file: from which the next one is begun.
    """

    root: str
    build_id: str
    names: tuple[str, ...]
    values: tuple[dict[str, str | None], ...]
    folders: tuple[str, ...]
    schema: pa.Schema
    rows_per_file: int


class Files:
    """A task's files: one after the other of each source partition, in row groups of some size."""

    def __init__(self, output: Output, place: str) -> None:
        """
        Args:
            output: what the tasks have in common.
            place: of this attempt, in the names of its files.
        """
        self._output, self._place = output, place
        self._done: list[PredictionFile] = []
        self._held: dict[int, list[pa.Table]] = defaultdict(list)
        self._rows: Counter[int] = Counter()
        self._open: dict[int, _File] = {}
        self._number = 0

    def add(self, table: pa.Table, partition: np.ndarray) -> None:
        """Rows, and the positions of their source partitions."""
        for position in np.unique(partition).tolist():
            own = partition == position
            part = table if own.all() else table.filter(pa.array(own))
            self._held[position].append(part)
            self._rows[position] += part.num_rows
            if self._rows[position] >= _ROW_GROUP:
                self._write(position)
        while self._rows.total() > _HELD_ROWS:
            self._write(self._rows.most_common(1)[0][0])

    def close(self) -> list[PredictionFile]:
        """End all files, and say which there are."""
        for position in sorted(self._held):
            self._write(position)
        for position in sorted(self._open):
            self._end(position)
        return self._done

    def _write(self, position: int) -> None:
        held = self._held.pop(position, [])
        del self._rows[position]
        if not held:
            return
        if position not in self._open:
            folder = self._output.folders[position]
            name = f"part-{self._output.build_id}-{self._place}-{self._number:04d}.parquet"
            path = f"{folder}/{name}" if folder else name
            self._number += 1
            self._open[position] = _File(self._output, path)
        file = self._open[position]
        file.write(pa.concat_tables(held))
        if file.rows >= self._output.rows_per_file:
            self._end(position)

    def _end(self, position: int) -> None:
        file = self._open.pop(position)
        self._done.append(
            PredictionFile(
                path=file.path,
                partition=self._output.names[position],
                values=self._output.values[position],
                rows=file.rows,
                bytes=file.close(),
            )
        )


class _File:
    """One Parquet file, made in memory and written at once: stores take objects, not appends."""

    def __init__(self, output: Output, path: str) -> None:
        self.path, self.rows = path, 0
        self._root = output.root
        self._sink = pa.BufferOutputStream()
        self._writer = pq.ParquetWriter(self._sink, output.schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=_ROW_GROUP)
        self.rows += table.num_rows

    def close(self) -> int:
        """Bytes of the file."""
        self._writer.close()
        content = self._sink.getvalue()
        files, base = open_files(self._root)
        full = f"{base}/{self.path}"
        with reaching(self._root):
            files.makedirs(full.rpartition("/")[0], exist_ok=True)
            with files.open(full, "wb") as stream:
                stream.write(content)
        return int(content.size)
