"""A column of the sample and what is known of it; counted when it is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.propose.arrow_types import plain, type_of
from headrace.propose.text_types import told
from headrace.schema import ColumnType

_SCALARS = {ColumnType.INTEGER, ColumnType.REAL, ColumnType.BOOLEAN, ColumnType.TIMESTAMP}


@dataclass(frozen=True, eq=False)
class Column:
    """A raw column.

    Attributes:
        name: as the table has it.
        type: after casting to the declared type.
        values: of the sampled rows, as `arrow_types.PLAIN` has the type.
        declared: the type that the recipe has to declare; empty for none.
        bad: sampled values that do not cast to it.
        example: one of them.
        foreign: what the texts are that cannot be cast because of how they are written.
    """

    name: str
    type: ColumnType
    values: pa.Array
    declared: str = ""
    bad: int = 0
    example: str = ""
    foreign: str = ""

    @cached_property
    def missing(self) -> np.ndarray:
        """Bool (rows,): null, NaN or infinite."""
        if self.type is ColumnType.REAL:
            numbers = pc.fill_null(self.values, float("nan")).to_numpy(zero_copy_only=False)
            return ~np.isfinite(numbers)
        return self.values.is_null().to_numpy(zero_copy_only=False)

    @property
    def rows(self) -> int:
        return len(self.values)

    @cached_property
    def nulls(self) -> int:
        return int(self.missing.sum())

    @property
    def there(self) -> int:
        """Values that are not missing."""
        return self.rows - self.nulls

    @cached_property
    def present(self) -> pa.Array:
        """Values that are not missing."""
        return self.values.filter(pa.array(~self.missing))

    @cached_property
    def counts(self) -> list[tuple[object, int]]:
        """Every value and how often it comes, the most frequent first."""
        found = self.present.value_counts()
        pairs = zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True)
        return sorted(pairs, key=lambda pair: (-pair[1], str(pair[0])))

    @cached_property
    def distinct(self) -> int:
        return len(self.present.unique()) if self.type in _SCALARS | {ColumnType.STRING} else 0

    @property
    def unique(self) -> bool:
        """Whether every row has a value of its own."""
        return not self.nulls and self.distinct == self.rows

    @cached_property
    def numbers(self) -> np.ndarray:
        """float64 (rows,); NaN where missing; times are microseconds since 1970."""
        array = self.values
        if self.type is ColumnType.TIMESTAMP:
            array = pc.cast(array, pa.int64())
        found = pc.cast(array, pa.float64(), safe=False)
        numbers = pc.fill_null(found, float("nan")).to_numpy(zero_copy_only=False)
        return np.where(np.isfinite(numbers), numbers, np.nan)

    @cached_property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest number."""
        return float(np.nanmin(self.numbers)), float(np.nanmax(self.numbers))

    def quantiles(self, *shares: float) -> list[float]:
        """Of the numbers."""
        return [float(q) for q in np.nanquantile(self.numbers, shares)]


def columns_of(rows: pa.Table, *, texts_only: bool) -> dict[str, Column]:
    """The table's columns, texts as what they say.

    Args:
        rows: the sample.
        texts_only: whether the files have nothing but texts, as CSV and JSON have.
    """
    return {name: _column(name, rows[name], texts_only) for name in rows.column_names}


def _column(name: str, array: pa.ChunkedArray, texts_only: bool) -> Column:
    kind = type_of(array.type)
    values = plain(array, kind).combine_chunks()
    if kind is ColumnType.STRING:
        found = told(values, whole_numbers=texts_only)
        return Column(
            name, found.type, found.values, found.declared, found.bad, found.example, found.foreign
        )
    if kind is ColumnType.STRINGS and texts_only:
        return _list_of(name, values)
    return Column(name, kind, values)


_LISTS: Mapping[ColumnType, ColumnType] = {
    ColumnType.INTEGER: ColumnType.INTEGERS,
    ColumnType.REAL: ColumnType.REALS,
}


def _list_of(name: str, values: pa.ListArray) -> Column:
    """A list of texts as a list of numbers where all of them are."""
    elements = told(values.flatten(), whole_numbers=True)
    kind = _LISTS.get(elements.type)
    if kind is None or elements.bad:
        return Column(name, ColumnType.STRINGS, values)
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(
        pa.array(offsets, mask=np.append(values.is_null().to_numpy(zero_copy_only=False), False)),
        elements.values,
    )
    return Column(name, kind, lists, kind.value)
