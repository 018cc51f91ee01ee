"""Find the columns that identify rows, and the columns whose rows belong together.

A key is unique in the sample, and looks like one: by its name, or by its values (codes, numbers in
a sequence). That measurements happen to differ in all sampled rows says nothing of the next rows,
and rows with the same of them are no duplicates. Of most tables no column is a key; their rows are
told apart by all of their columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.propose.columns import Column
from headrace.propose.names import split_words
from headrace.propose.roles import is_calendar, is_code, is_id, is_row_number
from headrace.propose.sample import Sample
from headrace.schema import ColumnType

# Columns of a key at most, and columns that are tried for one.
_MAX_COLUMNS, _MAX_CANDIDATES = 4, 12
# Groups that there are at least, so that splits get about the share that they should.
_MIN_GROUPS = 100
_GROUP_WORDS = frozenset({
    "user", "customer", "client", "patient", "person", "member", "account", "household", "session",
    "device", "machine", "sensor", "vehicle", "store", "shop", "site", "station", "driver",
    "student", "employee", "company", "vendor", "merchant", "subject", "group",
})  # fmt: skip
# Words of names that say that a number is a quantity, and neither an id nor a group.
_QUANTITY_WORDS = frozenset({
    "count", "counts", "total", "sum", "size", "age", "rate", "ratio", "share", "amount", "price",
    "cost", "mean", "average", "avg", "min", "max", "median", "std", "n", "score", "value", "level",
    "duration", "length", "width", "height", "weight", "visits", "per", "pct", "percent",
})  # fmt: skip
# Of texts that are codes: one word, with a digit or in capital letters, such as K-000123 or LHR.
_CODE_TEXT_PATTERN = r"^(?:[A-Z]{2,8}|[0-9A-Za-z:._/#-]*[0-9][0-9A-Za-z:._/#-]*)$"
_MIN_CODE_TEXT_SHARE = 0.9
# Rows of a column in a sequence per number of it: 1 to 1000 with a third of them missing.
_MIN_SEQUENCE_SHARE, _MIN_SEQUENCE_ROWS = 2 / 3, 5


@dataclass(frozen=True)
class RowKey:
    """The columns that identify rows.

    Attributes:
        columns: their names; none where only the whole row does.
        distinct_count: different keys in the sample.
        is_certain: whether it is safe to drop rows with the same key as another one: a single
            column is the key by its name or values, in all rows of the table, or by its name in a
            sample.
    """

    columns: tuple[str, ...]
    distinct_count: int
    is_certain: bool


def find_row_key(sample: Sample, label_name: str | None) -> RowKey:
    """Find the column that identifies rows, or a few columns that do together.

    Args:
        sample: the sampled rows of the table.
        label_name: the label's column, which new rows do not have.

    Returns:
        The key; one without columns where there is none.
    """
    columns = [c for c in sample.columns.values() if c.name != label_name]
    ranked = ((c.name, _rank_candidate(c, sample)) for c in columns if c.is_unique)
    ranks = {name: rank for name, rank in ranked if rank is not None}
    if ranks:
        best = min(ranks, key=lambda name: ranks[name])
        is_certain = is_code(sample.columns[best]) or (sample.is_whole and ranks[best] < _WEAK)
        return RowKey((best,), sample.rows, is_certain=is_certain)
    key = _find_joint_key(columns, sample.rows)
    return RowKey(key, sample.rows if key else 0, is_certain=False)


_WEAK = 3
"""Rank from which on a unique column is the key of the sample, and perhaps not of the table."""


def _rank_candidate(column: Column, sample: Sample) -> int | None:
    """Return how unlikely it is that a unique column is the key: 0 where its name says so.

    Returns:
        None where it is none: a measurement, a text of several words.
    """
    if sample.rows < 2 or column.type is ColumnType.BOOLEAN:
        return None
    if column.type is ColumnType.TIMESTAMP:
        return 4
    if column.type is ColumnType.STRING:
        if is_code(column) or _has_code_texts(column):
            return 0 if is_code(column) else 2
        return 3 if _has_single_words(column) else None
    if column.type is not ColumnType.INTEGER or _has_quantity_name(column):
        return None
    if is_code(column):
        return 0
    if is_row_number(column, sample.table_rows):
        return 1
    if is_calendar(column):
        return 4
    return 2 if _is_sequence(column) else None


def _has_code_texts(column: Column) -> bool:
    matches = pc.match_substring_regex(column.present_values, _CODE_TEXT_PATTERN)
    return bool(pc.mean(pc.cast(matches, pa.float64())).as_py() >= _MIN_CODE_TEXT_SHARE)


def _has_single_words(column: Column) -> bool:
    """Return whether texts are names of one word, mostly: a text of several is a description."""
    words = pc.list_value_length(pc.utf8_split_whitespace(column.present_values))
    return bool((pc.mean(words).as_py() or 0) < 2)


def _is_sequence(column: Column) -> bool:
    """Return whether unique whole numbers are nearly all numbers from one to another."""
    low, high = column.limits
    return column.rows >= _MIN_SEQUENCE_ROWS and column.rows >= _MIN_SEQUENCE_SHARE * (
        high - low + 1
    )


def _find_joint_key(columns: Sequence[Column], rows: int) -> tuple[str, ...]:
    """Find the fewest columns of names, codes and times that identify rows together.

    Returns:
        Their names; empty where they do not, or where nothing but texts of few values does: a table
        of categories has every combination of them once by chance.
    """
    candidates = [c for c in columns if not c.null_count and _may_be_joint(c)]
    candidates = sorted(candidates, key=lambda c: -c.distinct_count)[:_MAX_CANDIDATES]
    key: list[str] = []
    codes, distinct_count = np.zeros(rows, np.int64), min(1, rows)
    while len(key) < _MAX_COLUMNS and distinct_count < rows:
        joined = {c.name: _join_codes(codes, c) for c in candidates if c.name not in key}
        if not joined:
            return ()
        best = max(joined, key=lambda name: int(joined[name].max()))
        count = int(joined[best].max()) + 1
        if count <= distinct_count:
            return ()
        key.append(best)
        codes, distinct_count = joined[best], count
    parts = [column for column in candidates if column.name in key]
    has_name = any(is_code(c) or c.type is ColumnType.STRING for c in parts)
    has_time = any(c.type is ColumnType.TIMESTAMP or is_calendar(c) for c in parts)
    all_codes = all(is_code(c) for c in parts)
    is_key = distinct_count == rows and len(key) > 1 and ((has_name and has_time) or all_codes)
    return tuple(key) if is_key else ()


def _may_be_joint(column: Column) -> bool:
    """Return whether a column may be a part of a key: no measurement, and no description."""
    if column.type is ColumnType.TIMESTAMP:
        return True
    if column.type is ColumnType.STRING:
        return is_code(column) or _has_single_words(column)
    if column.type is not ColumnType.INTEGER:
        return False
    return is_code(column) or is_calendar(column) or is_group(column)


def _has_quantity_name(column: Column) -> bool:
    return bool(_QUANTITY_WORDS & {*split_words(column.name)})


def is_group(column: Column) -> bool:
    """Return whether a column's name says that its values are those whose rows belong together."""
    return bool(_GROUP_WORDS & {*split_words(column.name)}) and not _has_quantity_name(column)


def find_group_column(columns: Sequence[Column]) -> Column | None:
    """Find a column such as a customer, of whose values each has several rows.

    Returns:
        The column with the most groups; None where there is none.
    """
    candidates = [
        column
        for column in columns
        if column.type in (ColumnType.STRING, ColumnType.INTEGER)
        and (is_group(column) or (is_id(column) and not _has_quantity_name(column)))
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


def count_distinct_rows(columns: Sequence[Column]) -> int:
    """Return how many rows differ in any of the columns; lists are left out."""
    rng = np.random.default_rng(0)
    hashes = np.zeros(columns[0].rows if columns else 0, np.uint64)
    for column in columns:
        if column.distinct_count:
            codes = column.values.dictionary_encode().indices
            filled = np.asarray(codes.fill_null(pa.scalar(-1, codes.type)), np.int64) + 1
            # A random number for each value; sums of them are the same by chance in 2**-64.
            numbers = rng.integers(0, 2**64, int(filled.max(initial=0)) + 1, np.uint64)
            hashes += numbers[filled]
    return len(np.unique(hashes))


def _join_codes(codes: np.ndarray, column: Column) -> np.ndarray:
    """Return int64 (rows,) from 0: one code for each pair of a code and a value of the column."""
    column_codes = column.values.dictionary_encode().indices
    filled = np.asarray(column_codes.fill_null(pa.scalar(-1, column_codes.type)), np.int64) + 1
    joined = codes * (int(filled.max(initial=0)) + 1) + filled
    return np.unique(joined, return_inverse=True)[1].astype(np.int64)
