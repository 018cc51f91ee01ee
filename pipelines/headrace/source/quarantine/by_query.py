"""Quarantine rejected rows by a query of their own: all their columns, the rules and the reasons.

This is the second and last time that the lake is read, with all columns, and only where the first
job found rows to keep. The rows lie beside the dataset's in the build's own folder, so that a
commit shows both or neither.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.errors import LedgerError
from headrace.source.internal_columns import (
    MALFORMED,
    PROBLEMS,
    col,
    is_internal,
    name_before_cast,
    with_safe_names,
)
from headrace.source.invalid_texts import replace_invalid_texts
from headrace.source.quarantine.writer import (
    QuarantineFile,
    add_reasons,
    locate_quarantine,
    name_file,
)
from headrace.source.rules import CheckedRows
from headrace.source.tables import RawTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Types of columns that Spark does not hand to Arrow; they are kept as texts.
_AS_TEXT = ("CalendarIntervalType", "YearMonthIntervalType", "DayTimeIntervalType", "VariantType")


def write_quarantine(
    checked: CheckedRows, main: RawTable, *, root: str, build_id: str, expected: int
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
    frame = select_rejected(checked, main)
    writer = _build_writer(
        locate_quarantine(root, build_id),
        frame.columns[:-1],
        [check.name for check in checked.checks],
    )
    reports = with_safe_names(frame).mapInArrow(writer, "rows long").collect()
    written = sum(row["rows"] for row in reports)
    if written != expected:
        raise LedgerError(
            f"{written:,} rows were written to the quarantine and {expected:,} were rejected when "
            "they were counted; the source changed during the build. Nothing was published; run "
            "the build again"
        )


def select_rejected(checked: CheckedRows, main: RawTable) -> "DataFrame":
    """Select the rows that a quarantine check rejected, as they were read, and their PROBLEMS.

    Args:
        checked: with a quarantine check.
        main: names the columns.
    """
    rejected = checked.violates_any("quarantine")
    assert rejected is not None
    # Rules and reasons are split by the tasks. As SQL they are part of the filter's generated
    # method from Spark 4.1 on, which is then too long to be compiled: at 1 million rows this query
    # took 7.0 s of CPU in the JVM with 4.3, and 1.7 s with 4.0.
    return checked.rows.where(rejected).select(*_select_as_read(checked, main), col(PROBLEMS))


def _build_writer(
    folder: str, names: list[str], checks: list[str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Build the function of the tasks: each writes one file, named by its partition, so that a
    second attempt writes the same one; it yields how many rows."""

    def write_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        name = name_file(f"{context.partitionId() if context else 0:05d}")
        with QuarantineFile(folder, name) as file:
            for batch in batches:
                if batch.num_rows:
                    rows = replace_invalid_texts(pa.Table.from_batches([batch]))
                    problems = rows.column(rows.num_columns - 1).to_pylist()
                    rows = rows.select(list(range(len(names)))).rename_columns(names)
                    file.write_rows(add_reasons(rows, problems, checks))
        if file.rows:
            yield pa.RecordBatch.from_pydict({"rows": [file.rows]})

    return write_batches


def _select_as_read(checked: CheckedRows, main: RawTable) -> "list[Column]":
    """Return the columns of the main table with the values that were read, before any cast."""
    columns = []
    for name, kind in main.schema.spark_types.items():
        if is_internal(name):
            continue
        value = col(
            name_before_cast(name)
            if name_before_cast(name) in checked.schema.names
            else checked.name_as_read(name)
        )
        if type(kind).__name__ in _AS_TEXT:
            value = value.cast("string")
        columns.append(value.alias(name))
    if MALFORMED in checked.schema.names:
        columns.append(col(MALFORMED).alias("malformed_line"))
    return columns
