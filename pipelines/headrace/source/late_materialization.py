"""Late materialization: columns that no SQL needs are read from the files by the tasks themselves.

A cell costs Spark far more on its way from a Parquet page to a row and from there to Arrow than it
costs Arrow to read it. So the plan carries the columns that conditions, casts and keys need, and
for each row its file and its place in it; the task that receives the rows reads the other columns
of the main table there, with pyarrow, one row group after the other, once.

Measured (2 cores, 1 million rows of 41 columns): reading in Spark and handing over to Python costs
24 s of CPU, pyarrow needs some 2 s.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from headrace.errors import LakeError
from headrace.source.dictionaries import bytes_decoded, stacked
from headrace.source.internal_columns import FILE, POSITION
from headrace.source.partition_index import files_by_hash
from headrace.source.rules import Check
from headrace.source.tables import RawTable
from headrace.transform.spec import RawKind

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_UNREADABLE = (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)
# A read takes this many rows, or fewer where they are large (images).
_READ_ROWS, _READ_BYTES = 65_536, 64 * 2**20
# The first read of a task takes few rows: how large they are once decoded is not known before.
_FIRST_ROWS = 4096
# Texts are read as dictionaries where a file's dictionary takes no more bytes for each row of a
# read than this (compressed; writers limit it to 1 MiB): every batch comes with a copy of it.
_DICTIONARY_BYTES = 16
_NUMBERED = pa.dictionary(pa.int32(), pa.string())
# Operators of Spark after which rows are no longer in the order of their files.
_SHUFFLES = re.compile(
    r"^[\s:+*()\d-]*(SortMergeJoin|ShuffledHashJoin|CartesianProduct|Window|\w*Exchange|Sort)\b",
    re.MULTILINE,
)
# Spark's type -> (type in Arrow, types in a file that Spark reads as such). A column of nulls alone
# has the type null; pandas' timedelta is a plain whole number to Spark.
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "null")
_SMALL = ("int8", "int16", "int32", "uint8", "uint16")
_TEXTS = ("string", "large_string", "binary", "large_binary", "null")
_KINDS: dict[str, tuple[pa.DataType, tuple[str, ...]]] = {
    "bigint": (pa.int64(), _INTEGERS),
    "boolean": (pa.int64(), ("bool", "null")),
    "double": (pa.float64(), ("float", "double", "null", *_SMALL)),
    "string": (pa.string(), _TEXTS),
    "binary": (pa.binary(), _TEXTS),
}
_RAW_KIND = {"bigint": "integer", "boolean": "integer", "double": "real", "string": "string"}
_RAW_KIND |= {"binary": "bytes"}


@dataclass(frozen=True)
class Late:
    """What the tasks read themselves.

    Attributes:
        table: the main table's name, for messages.
        columns: raw column -> Spark's type of it.
        files: FILE of a row -> path, size in bytes, time of change in ns.
    """

    table: str
    columns: Mapping[str, str]
    files: Mapping[int, tuple[str, int, int]]


def late_of(
    main: RawTable, checks: tuple[Check, ...], wanted: Mapping[str, RawKind]
) -> Late | None:
    """What of the wanted columns the tasks may read themselves; None where that is nothing."""
    columns = late_columns(main, checks, wanted)
    files = late_files(main) if columns else None
    return Late(main.name, columns, files) if files else None


def late_columns(
    main: RawTable, checks: tuple[Check, ...], raw: Mapping[str, RawKind]
) -> dict[str, str]:
    """Raw columns that may be read late -> Spark's type; none where the table's files do not allow.

    Columns with a cast, or which a rule may make null, are the plan's.
    """
    if POSITION not in main.frame.columns or not _by_exact_name(main):
        return {}
    nulled = {check.nulls for check in checks}
    types = {f.name: f.dataType.simpleString() for f in main.everything.schema.fields}
    after = {f.name: f.dataType.simpleString() for f in main.frame.schema.fields}
    found = {}
    for name, kind in raw.items():
        sql = types.get(name, "")
        same = _RAW_KIND.get(sql) == kind and after.get(name) == sql and name not in main.casts
        if same and name not in nulled and name not in main.partition_columns:
            found[name] = sql
    return found


def _by_exact_name(main: RawTable) -> bool:
    """Whether Spark finds a file's columns by their exact names, as is done here."""
    conf = main.everything.sparkSession.conf
    by_id = conf.get("spark.sql.parquet.fieldId.read.enabled", "false") == "true"
    return conf.get("spark.sql.caseSensitive", "false") == "true" and not by_id


def keeps_order(tagged: "DataFrame") -> bool:
    """Whether the plan leaves rows in the order of their files."""
    return not _SHUFFLES.search(tagged._jdf.queryExecution().sparkPlan().toString())


def late_files(main: RawTable) -> dict[int, tuple[str, int, int]] | None:
    """As `Late.files`; None where pyarrow cannot reach the table's files from here."""
    found = files_by_hash(main.everything)
    if not found or not all(url.startswith("file:") for url in found.values()):
        return None
    paths = {h: "/" + unquote(u.removeprefix("file:").lstrip("/")) for h, u in found.items()}
    try:
        stats = {path: Path(path).stat() for path in {*paths.values()}}
    except OSError as error:
        raise LakeError(f"table {main.name!r}: {error.filename} cannot be read: {error}") from None
    return {h: (p, stats[p].st_size, stats[p].st_mtime_ns) for h, p in paths.items()}


class LateReader:
    """Completes rows that come in the order of their files; used by one task.

    Attributes:
        rows_read: rows of which the columns were read, needed or not.
    """

    def __init__(self, late: Late) -> None:
        self.rows_read = 0
        self._late = late
        self._file: int | None = None
        self._open: Any = None
        self._starts = np.zeros(0, np.int64)
        self._group = -1
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._batch: pa.RecordBatch | None = None
        self._begin = 0
        self._row_bytes = 0.0  # of decoded rows, the largest mean of a read so far

    def completed(self, rows: pa.Table) -> pa.Table:
        """The rows with the late columns, POSITION gone.

        Raises:
            LakeError: a file is gone, cannot be read, or has another type of column.
        """
        file, position = rows[FILE].to_numpy(), rows[POSITION].to_numpy()
        parts = []
        turns = np.flatnonzero(file[1:] != file[:-1]) + 1
        for begin, end in zip([0, *turns], [*turns, len(file)], strict=True):
            if end > begin:
                self._go_to(int(file[begin]))
                parts += self._taken(position[begin:end])
        rows = rows.drop_columns([POSITION])
        if not parts:
            return _empty(rows, self._late)
        beside = stacked([pa.Table.from_batches([part]) for part in parts])
        for name in beside.column_names:
            rows = rows.append_column(name, beside[name])
        return rows

    def _go_to(self, file: int) -> None:
        import pyarrow.parquet as pq

        if file == self._file:
            return
        if file not in self._late.files:
            raise LakeError(f"table {self._late.table!r}: a file appeared during the build")
        path, size, changed = self._late.files[file]
        try:
            stat = Path(path).stat()
            plain = pq.ParquetFile(path, pre_buffer=False)
            schema = plain.schema_arrow
            numbered = self._numbered(plain.metadata, schema)
            self._open = pq.ParquetFile(
                path, pre_buffer=False, metadata=plain.metadata, read_dictionary=numbered
            )
            plain.close()
        except _UNREADABLE as error:
            raise self._unreadable(path, error) from None
        if (stat.st_size, stat.st_mtime_ns) != (size, changed):
            raise LakeError(
                f"table {self._late.table!r}: {path} changed during the build; run it again"
            )
        meta = self._open.metadata
        sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self._file, self._group, self._batch = file, -1, None
        _check_types(schema, path, self._late)

    def _numbered(self, meta: Any, schema: pa.Schema) -> list[str]:
        """Text columns of a file to be read as dictionaries, which must not be large."""
        texts = [n for n, sql in self._late.columns.items() if sql == "string"]
        left = {n for n in texts if n in schema.names and schema.field(n).type == pa.string()}
        for group in range(meta.num_row_groups if left else 0):
            of = meta.row_group(group)
            chunks = [of.column(i) for i in range(of.num_columns)]
            row = sum(c.total_uncompressed_size for c in chunks) / max(of.num_rows, 1)
            rows = min(of.num_rows, _READ_ROWS, int(_READ_BYTES / max(row, 1)))
            for chunk in chunks:
                if chunk.path_in_schema in left:
                    size = chunk.data_page_offset - (chunk.dictionary_page_offset or 0)
                    if not chunk.has_dictionary_page or size > _DICTIONARY_BYTES * rows:
                        left.remove(chunk.path_in_schema)
        return sorted(left)

    def _taken(self, position: np.ndarray) -> list[pa.RecordBatch]:
        """Rows at these rising places of the open file."""
        parts, done = [], 0
        if not (np.diff(position) > 0).all():
            raise LakeError(
                f"table {self._late.table!r}: rows are not in their files' order; set "
                f"source.tables.{self._late.table}.read_with to spark"
            )
        while done < len(position):
            batch = self._batch_with(int(position[done]))
            end = int(np.searchsorted(position, self._begin + batch.num_rows))
            inside = position[done:end] - self._begin
            # A slice keeps the whole batch in memory, so a short run is copied.
            dense = inside[-1] - inside[0] + 1 == len(inside)
            if dense and (2 * len(inside) >= batch.num_rows or len(inside) == len(position)):
                parts.append(batch.slice(int(inside[0]), len(inside)))
            else:
                parts.append(batch.take(pa.array(inside)))
            done = end
        return parts

    def _batch_with(self, position: int) -> pa.RecordBatch:
        group = int(np.searchsorted(self._starts, position, side="right")) - 1
        if group != self._group or position < self._begin:
            there = [n for n in self._late.columns if n in self._open.schema_arrow.names]
            self._batches = self._open.iter_batches(
                self._rows_a_read(group, there),
                row_groups=[group],
                columns=there,
                use_threads=False,
            )
            self._group, self._begin, self._batch = group, int(self._starts[group]), None
        while self._batch is None or position >= self._begin + self._batch.num_rows:
            self._begin += self._batch.num_rows if self._batch is not None else 0
            self._batch = self._read()
        return self._batch

    def _rows_a_read(self, group: int, columns: list[str]) -> int:
        meta, wanted = self._open.metadata.row_group(group), {*columns}
        chunks = (meta.column(i) for i in range(meta.num_columns))
        size = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema in wanted)
        row = max(size / max(meta.num_rows, 1), self._row_bytes)
        most = _READ_ROWS if self._row_bytes else _FIRST_ROWS
        return int(np.clip(_READ_BYTES / max(row, 1), 16, most))

    def _read(self) -> pa.RecordBatch:
        path = self._late.files[self._file or 0][0]
        try:
            batch = next(self._batches)
            self.rows_read += batch.num_rows
            decoded = pa.RecordBatch.from_arrays(
                [self._column(batch, name) for name in self._late.columns],
                names=list(self._late.columns),
            )
            size = bytes_decoded(pa.Table.from_batches([decoded]))
            self._row_bytes = max(self._row_bytes, size / max(batch.num_rows, 1))
            return decoded
        except StopIteration:
            raise self._unreadable(path, ValueError("it has fewer rows than it had")) from None
        except _UNREADABLE as error:
            raise self._unreadable(path, error) from None

    def _column(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        kind, _ = _KINDS[self._late.columns[name]]
        if name not in batch.schema.names:
            return pa.nulls(batch.num_rows, kind)
        column = batch.column(batch.schema.get_field_index(name))
        if column.type == _NUMBERED:
            return column
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        return column if column.type == kind else column.cast(kind)

    def _unreadable(self, path: str, error: Exception) -> LakeError:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        return LakeError(
            f"table {self._late.table!r}: {path} cannot be read (columns "
            f"{', '.join(list(self._late.columns)[:5])}, …): {said}; restore or remove it, or, "
            f"where Spark can read it, set source.tables.{self._late.table}.read_with to spark"
        )


def _check_types(schema: pa.Schema, path: str, late: Late) -> None:
    """A file may lack a column, but not hold another type of it than the table."""
    for name, sql in late.columns.items():
        places = schema.get_all_field_indices(name)
        if not places:
            continue
        if len(places) > 1:
            raise LakeError(f"table {late.table!r}: {path} has {len(places)} columns {name!r}")
        found = schema.field(places[0]).type
        found = found.value_type if pa.types.is_dictionary(found) else found
        plain = "int64" if pa.types.is_duration(found) else str(found)
        if plain not in _KINDS[sql][1]:
            raise LakeError(
                f"table {late.table!r}: column {name!r} is {found} in "
                f"{PurePosixPath(path).name} ({path}) and {sql} in the table; rewrite the file, "
                f"or, where Spark can read it, set source.tables.{late.table}.read_with to spark"
            )


def _empty(rows: pa.Table, late: Late) -> pa.Table:
    for name, sql in late.columns.items():
        rows = rows.append_column(name, pa.array([], _KINDS[sql][0]))
    return rows
