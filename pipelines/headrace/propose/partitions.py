"""Columns that are in the names of folders (`month=1`), typed as Spark types them."""

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from headrace.propose.arrow_types import PLAIN
from headrace.propose.find import Found, TableFile
from headrace.propose.text_types import IS_TIME
from headrace.schema import ColumnType


def partition_types(found: Found) -> dict[str, ColumnType]:
    """Of all files of the table, which costs nothing: no file is opened."""
    values: dict[str, set[str]] = {}
    for file in found.files:
        for name, value in file.partition.items():
            values.setdefault(name, set())
            if value is not None:
                values[name].add(value)
    return {name: _type(texts) for name, texts in values.items()}


def with_partitions(rows: pa.Table, files: Sequence[TableFile], found: Found) -> pa.Table:
    """The rows with the columns of their files' folders, which hide columns of the same name.

    Args:
        rows: of any of the table's files.
        files: that of each row.
        found: all of the table's files.
    """
    for name, kind in partition_types(found).items():
        texts = pa.array([file.partition.get(name) for file in files], pa.string())
        if kind is ColumnType.TIMESTAMP:
            texts = pc.cast(texts, pa.timestamp("us"))
        if name in rows.column_names:
            rows = rows.drop_columns([name])
        rows = rows.append_column(name, pc.cast(texts, PLAIN[kind]))
    return rows


def _type(texts: set[str]) -> ColumnType:
    if not texts:
        return ColumnType.STRING
    if all(re.fullmatch(r"-?\d{1,18}", text) for text in texts):
        return ColumnType.INTEGER
    if all(re.fullmatch(r"-?\d+\.\d+", text) for text in texts):
        return ColumnType.REAL
    if all(re.fullmatch(IS_TIME, text) for text in texts):
        return ColumnType.TIMESTAMP
    return ColumnType.STRING
