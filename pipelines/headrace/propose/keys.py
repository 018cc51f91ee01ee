"""Find the columns that identify rows, and the columns whose rows belong together."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headrace.propose.columns import Column
from headrace.propose.roles import is_code, is_row_number
from headrace.propose.sample import Sample
from headrace.schema import ColumnType

_KEY_TYPES = (ColumnType.STRING, ColumnType.INTEGER, ColumnType.TIMESTAMP)
# Columns of a key at most, and columns that are tried for one.
_MAX_COLUMNS, _MAX_CANDIDATES = 4, 12
# Groups that there are at least, so that splits get about the share that they should.
_MIN_GROUPS = 100
_GROUP_NAME_PATTERN = re.compile(
    r"(?i)(user|customer|client|patient|person|member|account|household|session|device|machine|"
    r"sensor|vehicle|store|shop|site|station|driver|student|employee|company|vendor|merchant|"
    r"subject|group)"
)


@dataclass(frozen=True)
class RowKey:
    """The columns that identify rows.

    Attributes:
        columns: their names.
        distinct_count: different keys in the sample.
        is_certain: whether every row of the table was sampled, or a single column is a key by its
            name.
    """

    columns: tuple[str, ...]
    distinct_count: int
    is_certain: bool


def find_row_key(sample: Sample, label_name: str | None) -> RowKey:
    """Find the fewest columns that identify the sampled rows, or all but a few of them.

    Args:
        sample: the sampled rows of the table.
        label_name: the label's column, which new rows do not have.
    """
    columns = [c for c in sample.columns.values() if c.name != label_name and c.type in _KEY_TYPES]
    unique_columns = [c for c in columns if c.is_unique]
    if unique_columns:
        best = min(unique_columns, key=lambda column: _rank_candidate(column, sample))
        is_certain = sample.is_whole or is_code(best)
        return RowKey((best.name,), best.distinct_count, is_certain=is_certain)
    if not columns:  # the table has nothing but reals
        columns = [c for c in sample.columns.values() if c.name != label_name and c.distinct_count]
    if not columns:  # the table has nothing but lists
        others = [name for name in sample.columns if name != label_name]
        return RowKey(tuple(others[:_MAX_COLUMNS]), 0, is_certain=False)
    columns = [c for c in columns if not c.null_count] or columns
    columns = sorted(columns, key=lambda c: -c.distinct_count)[:_MAX_CANDIDATES]
    key: list[str] = []
    codes, distinct_count = np.zeros(sample.rows, np.int64), min(1, sample.rows)
    while len(key) < _MAX_COLUMNS and distinct_count < sample.rows:
        candidates = {c.name: _join_codes(codes, c) for c in columns if c.name not in key}
        if not candidates:
            break
        best_name = max(candidates, key=lambda name: int(candidates[name].max()))
        count = int(candidates[best_name].max()) + 1
        if count <= distinct_count and key:
            break
        key.append(best_name)
        codes, distinct_count = candidates[best_name], count
    return RowKey(tuple(key), distinct_count, is_certain=sample.is_whole)


def find_group_column(columns: Sequence[Column]) -> Column | None:
    """Find a column such as a customer, of whose values each has several rows.

    Returns:
        The column with the most groups; None where there is none.
    """
    candidates = [
        column
        for column in columns
        if column.type in (ColumnType.STRING, ColumnType.INTEGER)
        and (is_code(column) or _GROUP_NAME_PATTERN.search(column.name))
        and column.distinct_count >= _MIN_GROUPS
        and column.distinct_count <= 0.8 * column.present_count
        and column.null_count <= 0.01 * column.rows
    ]
    return max(candidates, key=lambda c: c.distinct_count, default=None)


def find_calendar_key(columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Find the columns year, month and day; empty where one is missing, or where dates are few."""
    names = {name.lower(): name for name in columns}
    key = tuple(names[part] for part in ("year", "month", "day") if part in names)
    are_integers = all(columns[name].type is ColumnType.INTEGER for name in key)
    if len(key) < 3 or not are_integers:
        return ()
    days = set(zip(*(columns[name].values.to_pylist() for name in key), strict=True))
    return key if len(days) >= _MIN_GROUPS else ()


def _rank_candidate(column: Column, sample: Sample) -> int:
    """Return how unlikely it is that a unique column is the key: 0 where its name says so."""
    if is_code(column):
        return 0
    if is_row_number(column, sample.table_rows):
        return 1
    return 3 if column.type is ColumnType.TIMESTAMP else 2


def _join_codes(codes: np.ndarray, column: Column) -> np.ndarray:
    """Return int64 (rows,) from 0: one code for each pair of a code and a value of the column."""
    column_codes = column.values.dictionary_encode().indices
    filled = np.asarray(column_codes.fill_null(pa.scalar(-1, column_codes.type)), np.int64) + 1
    joined = codes * (int(filled.max(initial=0)) + 1) + filled
    return np.unique(joined, return_inverse=True)[1].astype(np.int64)
