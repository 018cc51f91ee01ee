"""Count what is exact of a column however many rows there are: values, zeros, sum and limits.

Totals of files add up, and those of files that are gone are taken away, but for the limits: they
stay as they are where no value of what is gone was one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.columns.exact_sum import ExactSum
from headrace.lake.damage import read_parquet

TOTALS_FILE = "column_totals.parquet"
"""File of the totals of each data file of a build, in its sidecar."""
Number = int | float
_NOTHING = ExactSum()
_SCHEMA = pa.schema(
    [
        ("totals_path", pa.string()),
        ("totals_column", pa.string()),
        ("totals_values", pa.int64()),
        ("totals_zeros", pa.int64()),
        ("totals_sum", pa.string()),
        ("totals_low", pa.string()),
        ("totals_high", pa.string()),
    ]
)


@dataclass(frozen=True)
class ColumnTotals:
    """Totals of a column of numbers.

    Attributes:
        values: that are not missing.
        zeros: that are 0.
        sum: of all.
        low, high: the smallest and the largest; None without values.
    """

    values: int = 0
    zeros: int = 0
    sum: ExactSum = _NOTHING
    low: Number | None = None
    high: Number | None = None

    @staticmethod
    def from_numbers(numbers: np.ndarray) -> "ColumnTotals":
        """Return the totals of int64 or finite float64 values."""
        if not len(numbers):
            return ColumnTotals()
        is_integer = numbers.dtype == np.int64
        add_up = ExactSum.from_integers if is_integer else ExactSum.from_floats
        return ColumnTotals(
            values=len(numbers),
            zeros=len(numbers) - int(np.count_nonzero(numbers)),
            sum=add_up(numbers),
            low=numbers.min().item() + 0,
            high=numbers.max().item() + 0,
        )

    def __add__(self, other: "ColumnTotals") -> "ColumnTotals":
        if not self.values:
            return other
        if not other.values:
            return self
        assert self.low is not None and self.high is not None
        assert other.low is not None and other.high is not None
        return ColumnTotals(
            self.values + other.values,
            self.zeros + other.zeros,
            self.sum + other.sum,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    def subtract(self, other: "ColumnTotals") -> "tuple[ColumnTotals, bool]":
        """Take totals away that are part of these.

        Returns:
            the rest, and whether its limits are those of its values; else they may lie within.
        """
        if not other.values:
            return self, True
        values = self.values - other.values
        if not values:
            return ColumnTotals(), True
        rest = ColumnTotals(
            values, self.zeros - other.zeros, self.sum - other.sum, self.low, self.high
        )
        return rest, self.low != other.low and self.high != other.high


def write_totals(totals: "Iterable[tuple[str, Mapping[str, ColumnTotals]]]") -> bytes:
    """Write the totals of files, or of splits, as one Parquet file.

    Args:
        totals: path, or split, and column -> its totals.
    """
    rows = [
        (
            path,
            name,
            t.values,
            t.zeros,
            t.sum.to_text(),
            limit_to_text(t.low),
            limit_to_text(t.high),
        )
        for path, columns in totals
        for name, t in columns.items()
    ]
    columns = [
        pa.array([row[position] for row in rows], field.type)
        for position, field in enumerate(_SCHEMA)
    ]
    sink = pa.BufferOutputStream()
    table = pa.Table.from_arrays(columns, schema=_SCHEMA)
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())


def read_totals(blob: bytes) -> Iterator[tuple[str, str, ColumnTotals]]:
    """Read path, column and totals of what `write_totals` wrote.

    Raises:
        ValueError: it is damaged.
    """
    columns = [column.to_pylist() for column in read_parquet(blob, TOTALS_FILE).columns]
    for path, name, values, zeros, total, low, high in zip(*columns, strict=True):
        limits = (limit_from_text(low), limit_from_text(high))
        yield path, name, ColumnTotals(values, zeros, ExactSum.from_text(total), *limits)


def limit_to_text(value: Number | None) -> str | None:
    """Return a number as a text that reads as the same one: whole ones of any size, and floats."""
    if value is None:
        return None
    return str(value) if isinstance(value, int) else value.hex()


def limit_from_text(text: str | None) -> Number | None:
    """Return the number that `limit_to_text` wrote.

    Raises:
        ValueError: it is no such text.
    """
    if text is None:
        return None
    return float.fromhex(text) if "x" in text else int(text)
