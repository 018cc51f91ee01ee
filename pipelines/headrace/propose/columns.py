"""Hold a column of the sample, and compute its figures (nulls, distinct values, limits) on demand.

Texts become the numbers, truth values or times that they spell (`text_types`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.propose.arrow_types import ARROW_TYPES, cast_array, get_column_type
from headrace.propose.text_types import infer_text_type
from headrace.propose.written_times import convert_numbers_to_micros, find_numbered_times
from headrace.schema import ColumnType

_SCALAR_TYPES = {ColumnType.INTEGER, ColumnType.REAL, ColumnType.BOOLEAN, ColumnType.TIMESTAMP}
_LIST_TYPES: Mapping[ColumnType, ColumnType] = {
    ColumnType.INTEGER: ColumnType.INTEGERS,
    ColumnType.REAL: ColumnType.REALS,
}


@dataclass(frozen=True, eq=False)
class Column:
    """A raw column of the sampled rows.

    Attributes:
        name: the table's name for it.
        type: its type after casting to the declared type.
        values: the sampled values, of the Arrow type that `arrow_types.ARROW_TYPES` has.
        declared_type: the type that the recipe has to declare; empty for none.
        uncastable_count: sampled values that do not cast to it.
        uncastable_example: one of them.
        foreign_format: how the texts are written, where that is why they cannot be cast.
        remark: what else a reader of its declared type should know.
    """

    name: str
    type: ColumnType
    values: pa.Array
    declared_type: str = ""
    uncastable_count: int = 0
    uncastable_example: str = ""
    foreign_format: str = ""
    remark: str = ""

    @cached_property
    def missing_mask(self) -> np.ndarray:
        """Return bool (rows,): whether a value is null, NaN or infinite."""
        if self.type is ColumnType.REAL:
            numbers = pc.fill_null(self.values, float("nan")).to_numpy(zero_copy_only=False)
            return ~np.isfinite(numbers)
        return self.values.is_null().to_numpy(zero_copy_only=False)

    @property
    def rows(self) -> int:
        return len(self.values)

    @cached_property
    def null_count(self) -> int:
        return int(self.missing_mask.sum())

    @property
    def present_count(self) -> int:
        """Return the number of values that are not missing."""
        return self.rows - self.null_count

    @cached_property
    def present_values(self) -> pa.Array:
        """Return the values that are not missing."""
        return self.values.filter(pa.array(~self.missing_mask))

    @cached_property
    def value_counts(self) -> list[tuple[object, int]]:
        """Return every value and how often it occurs, the most frequent first."""
        counts = self.present_values.value_counts()
        pairs = zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True)
        return sorted(pairs, key=lambda pair: (-pair[1], str(pair[0])))

    @cached_property
    def distinct_count(self) -> int:
        """Return the number of different values; 0 for lists."""
        has_scalars = self.type in _SCALAR_TYPES | {ColumnType.STRING}
        return len(self.present_values.unique()) if has_scalars else 0

    @property
    def is_unique(self) -> bool:
        """Return whether every row has a value of its own."""
        return not self.null_count and self.distinct_count == self.rows

    @cached_property
    def numbers(self) -> np.ndarray:
        """Return float64 (rows,): NaN where missing; times are microseconds since 1970."""
        array = self.values
        if self.type is ColumnType.TIMESTAMP:
            array = pc.cast(array, pa.int64())
        reals = pc.cast(array, pa.float64(), safe=False)
        numbers = pc.fill_null(reals, float("nan")).to_numpy(zero_copy_only=False)
        return np.where(np.isfinite(numbers), numbers, np.nan)

    @cached_property
    def limits(self) -> tuple[float, float]:
        """Return the smallest and the largest number."""
        return float(np.nanmin(self.numbers)), float(np.nanmax(self.numbers))

    def compute_quantiles(self, *shares: float) -> list[float]:
        """Return the numbers' quantiles at the shares, from 0 to 1."""
        return [float(quantile) for quantile in np.nanquantile(self.numbers, shares)]


def build_columns(rows: pa.Table, *, texts_only: bool) -> dict[str, Column]:
    """Return the table's columns by name, with texts as the values that they spell.

    Args:
        rows: the sampled rows.
        texts_only: whether the files hold nothing but texts, as CSV and JSON do.
    """
    columns = (_build_column(name, rows[name], texts_only) for name in rows.column_names)
    return {column.name: _read_numbered_times(column) for column in columns}


def _read_numbered_times(column: Column) -> Column:
    """Return the column as times where its numbers are such, as seconds since 1970 are."""
    if column.type not in (ColumnType.INTEGER, ColumnType.REAL) or column.uncastable_count:
        return column
    missing = column.missing_mask
    times = find_numbered_times(column.name, column.numbers[~missing])
    if times is None:
        return column
    present = column.present_values.to_numpy(zero_copy_only=False)
    micros = np.zeros(column.rows, np.int64)
    micros[~missing] = convert_numbers_to_micros(present, times.declared_type)
    values = pa.array(micros, pa.int64(), mask=missing)
    return Column(
        column.name,
        ColumnType.TIMESTAMP,
        pc.cast(values, ARROW_TYPES[ColumnType.TIMESTAMP]),
        times.declared_type,
        remark=times.remark,
    )


def _build_column(name: str, array: pa.ChunkedArray, texts_only: bool) -> Column:
    column_type = get_column_type(array.type)
    values = cast_array(array, column_type).combine_chunks()
    if column_type is ColumnType.STRING:
        typed = infer_text_type(values, whole_numbers=texts_only)
        return Column(
            name,
            typed.type,
            typed.values,
            typed.declared_type,
            typed.uncastable_count,
            typed.uncastable_example,
            typed.foreign_format,
            typed.remark,
        )
    if column_type is ColumnType.STRINGS and texts_only:
        return _build_list_column(name, values)
    return Column(name, column_type, values)


def _build_list_column(name: str, values: pa.ListArray) -> Column:
    """Return lists of texts as lists of numbers where all the texts are numbers."""
    elements = infer_text_type(values.flatten(), whole_numbers=True)
    list_type = _LIST_TYPES.get(elements.type)
    if list_type is None or elements.uncastable_count:
        return Column(name, ColumnType.STRINGS, values)
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(
        pa.array(offsets, mask=np.append(values.is_null().to_numpy(zero_copy_only=False), False)),
        elements.values,
    )
    return Column(name, list_type, lists, list_type.value)
