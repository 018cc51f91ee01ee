"""Sliding windows: past steps as lists and later values as targets, for every row of a series.

Rows of one key come together in one task, sorted by time, and all windows of the task are cut at
once: one binary search a step for all rows, no loop over rows. A task holds the rows of its keys in
memory, `past` numbers a row and column.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.recipe import sections as s
from headrace.source.internal_columns import col

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_KEY, _STEP = "__headrace_series", "__headrace_step"


def add_windows(rows: "DataFrame", windows: s.Windows, excluded: str | None) -> "DataFrame":
    """Add the list and target columns to every row.

    Args:
        rows: the main table, joined.
        windows: key, order, step and what to take.
        excluded: boolean column; the values of rows where it is true are in no window.

    Returns:
        all columns of `rows` and the new ones: array<double> of `past` elements, and double; null
        elements and values where there is no row of that time.
    """
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    step = F.floor(
        F.unix_micros(col(windows.order).cast("timestamp")) / F.lit(windows.step * 10**6)
    )
    whole_key = F.lit(True)
    for key in windows.key:
        whole_key = whole_key & col(key).isNotNull()
    series = F.xxhash64(*(col(key) for key in windows.key))
    taken = {c: f"__headrace_taken_{i}" for i, c in enumerate(_taken(windows))}
    frame = rows.select(
        "*",
        F.when(whole_key, series).alias(_KEY),
        F.when(whole_key, step.cast("long")).alias(_STEP),
        *(_finite(c, excluded).alias(name) for c, name in taken.items()),
    )
    frame = frame.repartition(F.col(_KEY)).sortWithinPartitions(_KEY, _STEP, *taken.values())
    fields = [*rows.schema.fields]
    fields += [T.StructField(n, T.ArrayType(T.DoubleType())) for n in windows.columns]
    fields += [T.StructField(n, T.DoubleType()) for n in windows.targets]
    kept = [f.name for f in rows.schema.fields]

    def cut(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = list(batches)
        if held:
            table = pa.Table.from_batches(held).rename_columns(names)
            made = windows_of(table, windows, taken)
            out = table.select(kept)
            for name, array in made.items():
                out = out.append_column(name, array)
            yield from out.to_batches(max_chunksize=10_000)

    # mapInArrow resolves names as SQL: a dot or a backtick in one would break it.
    names = frame.columns
    safe = frame.toDF(*(f"c{i}" for i in range(len(names))))
    return safe.mapInArrow(cut, T.StructType(fields))


def windows_of(table: pa.Table, windows: s.Windows, taken: dict[str, str]) -> dict[str, pa.Array]:
    """The new columns of rows that are sorted by series and step.

    Where a series has two rows of one step, the first counts.
    """
    key = pc.fill_null(table[_KEY], 0).to_numpy()
    step = pc.fill_null(table[_STEP], 0).to_numpy()
    valid = pc.and_(pc.is_valid(table[_KEY]), pc.is_valid(table[_STEP])).to_numpy()
    series = np.cumsum(np.concatenate([[0], key[1:] != key[:-1]])) if len(key) else key
    # Series and step as one rising number: steps of a series are less than 2**40 apart.
    place = np.where(valid, series * 2**40 + (step - step.min(initial=0)), -1)
    known, first = np.unique(place[valid], return_index=True)
    row_of = np.flatnonzero(valid)[first]

    def row_at(shift: int) -> tuple[np.ndarray, np.ndarray]:
        wanted = place + shift
        found = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
        there = valid & (len(known) > 0)
        if len(known):
            there = there & (known[found] == wanted)
            return np.where(there, row_of[found], 0), there
        return np.zeros(len(place), np.int64), there

    numbers = {
        column: pc.fill_null(table[name], np.nan).to_numpy().astype(np.float64)
        for column, name in taken.items()
    }
    past = {name: np.full((len(place), windows.past), np.nan) for name in windows.columns}
    for position in range(windows.past):
        row, there = row_at(position - windows.past + 1)
        for name, column in windows.columns.items():
            past[name][:, position] = np.where(there, numbers[column][row], np.nan)
    made = {name: _lists(matrix) for name, matrix in past.items()}
    row, there = row_at(windows.ahead)
    for name, column in windows.targets.items():
        value = np.where(there, numbers[column][row], np.nan)
        made[name] = pa.array(value, mask=np.isnan(value))
    return made


def _lists(matrix: np.ndarray) -> pa.Array:
    flat = matrix.reshape(-1)
    offsets = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, mask=np.isnan(flat)))


def _taken(windows: s.Windows) -> list[str]:
    return list(dict.fromkeys([*windows.columns.values(), *windows.targets.values()]))


def _finite(column: str, excluded: str | None) -> "Column":
    import pyspark.sql.functions as F

    number = col(column).cast("double")
    good = (F.abs(number) < float("inf")) & ~F.isnan(number)
    return F.when(good & ~F.col(excluded), number) if excluded else F.when(good, number)
