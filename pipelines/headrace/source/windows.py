"""Add sliding windows to rows: past steps as lists, and later values as targets.

Rows of one key come together in one task, sorted by time, and all windows of the task are cut at
once: one binary search for all rows in each step, no loop over rows. A task holds the rows of its
keys in memory, `past` numbers for each row and column.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.recipe import sections as s
from headrace.source.internal_columns import (
    EXCLUDED,
    SERIES,
    STEP,
    col,
    name_window_values,
    with_safe_names,
)
from headrace.source.keys import KEY_DEFINITION, digest_key, has_whole_key
from headrace.source.raw_schema import RawSchema
from headrace.source.types import is_finite

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def add_windows(
    rows: "DataFrame", schema: RawSchema, windows: s.Windows, excluded: "Column | None"
) -> "tuple[DataFrame, RawSchema]":
    """Add the list and target columns to every row.

    Args:
        rows: the main table, joined.
        schema: the columns of `rows`.
        windows: key, order, step, and the columns to take values from.
        excluded: the values of rows where it is true are in no window; None where no row is.

    Returns:
        the rows with all their columns and the new ones, and their schema: array<double> of `past`
        elements, and double; null elements and values where there is no row of that time.
    """
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    if excluded is not None:
        rows = rows.withColumn(EXCLUDED, excluded)
        schema = schema.with_columns({EXCLUDED: T.BooleanType()})
    step = F.floor(
        F.unix_micros(col(windows.order).cast("timestamp")) / F.lit(windows.step * 10**6)
    )
    whole_key = has_whole_key(windows.key)
    series = digest_key(windows.key, schema, KEY_DEFINITION)
    value_columns = {c: name_window_values(i) for i, c in enumerate(_list_source_columns(windows))}
    frame = rows.select(
        "*",
        F.when(whole_key, series).alias(SERIES),
        F.when(whole_key, step.cast("long")).alias(STEP),
        *(_select_finite(c, excluded is not None).alias(name) for c, name in value_columns.items()),
    )
    frame = frame.repartition(F.col(SERIES)).sortWithinPartitions(
        SERIES, STEP, *value_columns.values()
    )
    own_columns = schema.names
    added: dict[str, T.DataType] = dict.fromkeys(windows.columns, T.ArrayType(T.DoubleType()))
    added |= dict.fromkeys(windows.targets, T.DoubleType())
    fields = [*rows.schema.fields, *(T.StructField(n, kind) for n, kind in added.items())]

    def cut_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        whole_task = list(batches)
        if whole_task:
            table = pa.Table.from_batches(whole_task).rename_columns(names)
            windowed = table.select(own_columns)
            for name, array in cut_windows(table, windows, value_columns).items():
                windowed = windowed.append_column(name, array)
            yield from windowed.to_batches(max_chunksize=10_000)

    names = frame.columns
    windowed_rows = with_safe_names(frame).mapInArrow(cut_batches, T.StructType(fields))
    return windowed_rows, schema.with_columns(added)


def cut_windows(
    table: pa.Table, windows: s.Windows, value_columns: dict[str, str]
) -> dict[str, pa.Array]:
    """Cut the new columns of rows that are sorted by series and step.

    Where a series has two rows of one step, the first counts.

    Args:
        table: with the series and the step of each row, null where it has none.
        windows: what to take.
        value_columns: column that values are taken from -> its name in the table; float64.

    Returns:
        by name: lists of `past` float64, and float64; null where there is no value.
    """
    key = _number_series(table[SERIES])
    step = pc.fill_null(table[STEP], 0).to_numpy()
    valid = pc.and_(pc.is_valid(table[SERIES]), pc.is_valid(table[STEP])).to_numpy()
    series = np.cumsum(np.concatenate([[0], key[1:] != key[:-1]])) if len(key) else key
    # Series and step as one increasing number: steps of a series are less than 2**40 apart.
    place = np.where(valid, series * 2**40 + (step - step.min(initial=0)), -1)
    places, first = np.unique(place[valid], return_index=True)
    row_of = np.flatnonzero(valid)[first]

    def find_rows(shift: int) -> tuple[np.ndarray, np.ndarray]:
        """Find for every row the one `shift` steps later, and whether there is one."""
        if not len(places):
            return np.zeros(len(place), np.int64), np.zeros(len(place), bool)
        later = place + shift
        index = np.minimum(np.searchsorted(places, later), len(places) - 1)
        exists = valid & (places[index] == later)
        return np.where(exists, row_of[index], 0), exists

    numbers = {
        column: pc.fill_null(table[name], np.nan).to_numpy().astype(np.float64)
        for column, name in value_columns.items()
    }
    past = {name: np.full((len(place), windows.past), np.nan) for name in windows.columns}
    for position in range(windows.past):
        row, exists = find_rows(position - windows.past + 1)
        for name, column in windows.columns.items():
            past[name][:, position] = np.where(exists, numbers[column][row], np.nan)
    arrays = {name: _build_lists(matrix) for name, matrix in past.items()}
    row, exists = find_rows(windows.ahead)
    for name, column in windows.targets.items():
        value = np.where(exists, numbers[column][row], np.nan)
        arrays[name] = pa.array(value, mask=np.isnan(value))
    return arrays


def _number_series(digests: pa.ChunkedArray) -> np.ndarray:
    """Return a number for each distinct digest, 0 where there is none."""
    numbers = digests.combine_chunks().dictionary_encode().indices
    return np.asarray(pc.add(pc.fill_null(numbers, -1), 1).to_numpy())


def _build_lists(matrix: np.ndarray) -> pa.Array:
    """Return the rows of a float64 matrix as lists; NaN becomes null."""
    flat = matrix.reshape(-1)
    offsets = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, mask=np.isnan(flat)))


def _list_source_columns(windows: s.Windows) -> list[str]:
    """Return the columns that windows and targets take values from, each once."""
    return list(dict.fromkeys([*windows.columns.values(), *windows.targets.values()]))


def _select_finite(column: str, excluded: bool) -> "Column":
    """Return a column as double; null where it is not finite, or the row is excluded."""
    import pyspark.sql.functions as F

    number = col(column).cast("double")
    finite = is_finite(number)
    return F.when(finite & ~F.col(EXCLUDED) if excluded else finite, number)
