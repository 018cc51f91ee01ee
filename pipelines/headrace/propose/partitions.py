"""Add the columns that are in the names of folders (`month=1`), typed as Spark types them; digits
that are a code are declared as texts."""

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from headrace.propose.arrow_types import ARROW_TYPES
from headrace.propose.table_files import TableFile, TableFiles
from headrace.propose.text_types import TIME_PATTERN
from headrace.schema import ColumnType


def infer_partition_types(table: TableFiles) -> dict[str, ColumnType]:
    """Return the types of the partition columns, from the paths of all files of the table."""
    values: dict[str, set[str]] = {}
    for file in table.files:
        for name, value in file.partition_values.items():
            values.setdefault(name, set())
            if value is not None:
                values[name].add(value)
    return {name: _infer_type(texts) for name, texts in values.items()}


def list_code_columns(table: TableFiles) -> list[str]:
    """Return the partition columns of digits that are codes, whose type has to be declared."""
    types = infer_partition_types(table)
    return [
        name
        for name, kind in types.items()
        if kind is ColumnType.STRING
        and any(
            re.fullmatch(r"-?\d+", file.partition_values.get(name) or "") for file in table.files
        )
    ]


def add_partition_columns(
    rows: pa.Table, files: Sequence[TableFile], table: TableFiles
) -> pa.Table:
    """Return the rows with their files' partition columns, which hide columns of the same name.

    Args:
        rows: rows of any of the table's files.
        files: the file of each row.
        table: all of the table's files.
    """
    for name, column_type in infer_partition_types(table).items():
        texts = pa.array([file.partition_values.get(name) for file in files], pa.string())
        if column_type is ColumnType.TIMESTAMP:
            texts = pc.cast(texts, pa.timestamp("us"))
        if name in rows.column_names:
            rows = rows.drop_columns([name])
        rows = rows.append_column(name, pc.cast(texts, ARROW_TYPES[column_type]))
    return rows


def _infer_type(texts: set[str]) -> ColumnType:
    if not texts:
        return ColumnType.STRING
    if any(re.fullmatch(r"-?0\d+", text) for text in texts):
        return ColumnType.STRING  # 01234 is a code, which Spark would take for 1234
    if all(re.fullmatch(r"-?\d+", text) for text in texts):
        fits = all(-(2**63) <= int(text) < 2**63 for text in texts)
        return ColumnType.INTEGER if fits else ColumnType.STRING
    if all(re.fullmatch(r"-?\d+\.\d+", text) for text in texts):
        return ColumnType.REAL
    if all(re.fullmatch(TIME_PATTERN, text) for text in texts):
        return ColumnType.TIMESTAMP
    return ColumnType.STRING
