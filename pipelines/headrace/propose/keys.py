"""Columns that tell rows apart, and columns whose rows belong together."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headrace.propose.columns import Column
from headrace.propose.roles import counted_from_one, is_code
from headrace.propose.sample import Sample
from headrace.schema import ColumnType

_KEYS = (ColumnType.STRING, ColumnType.INTEGER, ColumnType.TIMESTAMP)
# Columns of a key of several, at most, and values that a column of it has at least.
_MOST_COLUMNS, _MOST_TRIED = 4, 12
# Values that a group's column has, so that splits get about the share they should.
_GROUPS = 100
_GROUP_NAME = re.compile(
    r"(?i)(user|customer|client|patient|person|member|account|household|session|device|machine|"
    r"sensor|vehicle|store|shop|site|station|driver|student|employee|company|vendor|merchant|"
    r"subject|group)"
)


@dataclass(frozen=True)
class RowKey:
    """Columns that tell rows apart.

    Attributes:
        columns: their names.
        distinct: different keys in the sample.
        certain: whether every row of the table was looked at, or a single column does it.
    """

    columns: tuple[str, ...]
    distinct: int
    certain: bool


def row_key(sample: Sample, without: str | None) -> RowKey:
    """The fewest columns that tell the sampled rows apart, or all but a few.

    Args:
        sample: the table.
        without: the label, which new rows do not have.
    """
    columns = [c for c in sample.columns.values() if c.name != without and c.type in _KEYS]
    single = [c for c in columns if c.unique]
    if single:
        best = min(single, key=lambda column: _unlikely(column, sample))
        return RowKey((best.name,), best.distinct, certain=sample.whole or is_code(best))
    if not columns:  # numbers with a point are all there is
        columns = [c for c in sample.columns.values() if c.name != without and c.distinct]
    if not columns:  # lists
        others = [name for name in sample.columns if name != without]
        return RowKey(tuple(others[:_MOST_COLUMNS]), 0, certain=False)
    columns = [c for c in columns if not c.nulls] or columns
    columns = sorted(columns, key=lambda c: -c.distinct)[:_MOST_TRIED]
    chosen: list[str] = []
    codes, distinct = np.zeros(sample.rows, np.int64), min(1, sample.rows)
    while len(chosen) < _MOST_COLUMNS and distinct < sample.rows:
        tried = {c.name: _joined(codes, c) for c in columns if c.name not in chosen}
        if not tried:
            break
        best_name = max(tried, key=lambda name: int(tried[name].max()))
        count = int(tried[best_name].max()) + 1
        if count <= distinct and chosen:
            break
        chosen.append(best_name)
        codes, distinct = tried[best_name], count
    return RowKey(tuple(chosen), distinct, certain=sample.whole)


def group_column(columns: Sequence[Column]) -> Column | None:
    """A column of whose values each has several rows that belong together, such as a customer."""
    found = [
        column
        for column in columns
        if column.type in (ColumnType.STRING, ColumnType.INTEGER)
        and (is_code(column) or _GROUP_NAME.search(column.name))
        and column.distinct >= _GROUPS
        and column.distinct <= 0.8 * column.there
        and column.nulls <= 0.01 * column.rows
    ]
    return max(found, key=lambda c: c.distinct, default=None)


def calendar_key(columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Whole numbers that are a date together; empty where there are none, or few dates."""
    names = {name.lower(): name for name in columns}
    key = tuple(names[part] for part in ("year", "month", "day") if part in names)
    whole = all(columns[name].type is ColumnType.INTEGER for name in key)
    if len(key) < 3 or not whole:
        return ()
    days = set(zip(*(columns[name].values.to_pylist() for name in key), strict=True))
    return key if len(days) >= _GROUPS else ()


def _unlikely(column: Column, sample: Sample) -> int:
    """How unlikely it is that a column without equal values is the key: 0 where it is called so."""
    if is_code(column):
        return 0
    if counted_from_one(column, sample.table_rows):
        return 1
    return 3 if column.type is ColumnType.TIMESTAMP else 2


def _joined(codes: np.ndarray, column: Column) -> np.ndarray:
    """int64 (rows,) from 0 that tell apart what the codes and the column tell apart together."""
    own = column.values.dictionary_encode().indices
    filled = np.asarray(own.fill_null(pa.scalar(-1, own.type)), np.int64) + 1
    joined = codes * (int(filled.max(initial=0)) + 1) + filled
    return np.unique(joined, return_inverse=True)[1].astype(np.int64)
