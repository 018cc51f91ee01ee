"""Keep the rows that were rejected: all their columns as they were read, the rules and the reasons.

This is the second and last look at the lake, with all columns, and taken only where the first job
found rows to keep. The rows lie beside the dataset's in the build's own folder, so that a commit
shows both or neither. The tasks write them, as they write the dataset's files: to the same store,
with the same credentials, whatever file systems Spark itself knows.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import LedgerError
from headrace.lake.build import sidecar_folder
from headrace.lake.storage import open_files, reaching
from headrace.source.internal_columns import MALFORMED, PROBLEMS, REASONS, RULES, as_read, col, ours
from headrace.source.rules import Checked, rules_and_reasons
from headrace.source.tables import RawTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Kinds of columns that Spark does not hand to Arrow; they are kept as texts.
_AS_TEXT = ("CalendarIntervalType", "YearMonthIntervalType", "DayTimeIntervalType", "VariantType")


def write_quarantine(
    checked: Checked, main: RawTable, *, root: str, build_id: str, expected: int
) -> None:
    """Write the rows that a quarantine check rejected.

    Args:
        checked: the checked rows, with all columns of the main table.
        main: names the columns.
        root, build_id: the dataset, and the build whose folder they go to.
        expected: rows that the first job found.

    Raises:
        LedgerError: another number of rows was rejected this time, so the lake changed meanwhile.
    """
    rejected = checked.any_of("quarantine")
    assert rejected is not None
    folder = f"{sidecar_folder(root, build_id)}/quarantine"
    # Rules and reasons are told apart by the tasks. As SQL they are part of the filter's generated
    # method from Spark 4.1 on, which is then too long to be compiled: at 1 million rows this look
    # took 7.0 s of CPU in the JVM with 4.3, and 1.7 s with 4.0.
    frame = checked.rows.where(rejected).select(*_as_they_were(checked.rows, main), col(PROBLEMS))
    names = [check.name for check in checked.checks]
    files, path = open_files(folder)
    with reaching(folder):
        files.makedirs(path, exist_ok=True)
    # mapInArrow resolves names as SQL: a dot or a backtick in one would break it.
    safe = frame.toDF(*(f"c{i}" for i in range(len(frame.columns))))
    counted = safe.mapInArrow(_writer(folder, frame.columns[:-1], names), "rows long").collect()
    written = sum(row["rows"] for row in counted)
    if written != expected:
        raise LedgerError(
            f"{written:,} rows were written to the quarantine and {expected:,} were rejected when "
            "they were counted; the source changed during the build. Nothing was published; run "
            "the build again"
        )


def _writer(
    folder: str, names: list[str], checks: list[str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A task writes one file, named by its partition: tried again, it writes the same one."""

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        name = f"part-{context.partitionId() if context else 0:05d}.parquet"
        kept = (_with_reasons(batch, names, checks) for batch in batches if batch.num_rows)
        first = next(kept, None)
        if first is None:
            return
        rows = first.num_rows
        files, path = open_files(folder)
        with (
            reaching(folder),
            files.open(f"{path}/{name}", "wb") as stream,
            pq.ParquetWriter(stream, first.schema) as writer,
        ):
            writer.write_batch(first)
            for batch in kept:
                writer.write_batch(batch)
                rows += batch.num_rows
        yield pa.RecordBatch.from_pydict({"rows": [rows]})

    return write


def _with_reasons(batch: pa.RecordBatch, names: list[str], checks: list[str]) -> pa.RecordBatch:
    """The columns under their names, and in place of the last one, PROBLEMS, rules and reasons."""
    fields = [field.with_name(n) for field, n in zip(batch.schema, names, strict=False)]
    rules, reasons = rules_and_reasons(batch.columns[-1].to_pylist(), checks)
    texts = [pa.field(RULES, rules.type), pa.field(REASONS, reasons.type)]
    return pa.RecordBatch.from_arrays(
        [*batch.columns[:-1], rules, reasons], schema=pa.schema([*fields, *texts])
    )


def _as_they_were(rows: "DataFrame", main: RawTable) -> "list[Column]":
    there = set(rows.columns)
    columns = []
    for field in main.frame.schema:
        if ours(field.name):
            continue
        found = col(as_read(field.name) if as_read(field.name) in there else field.name)
        if type(field.dataType).__name__ in _AS_TEXT:
            found = found.cast("string")
        columns.append(found.alias(field.name))
    if MALFORMED in there:
        columns.append(col(MALFORMED).alias("malformed_line"))
    return columns
