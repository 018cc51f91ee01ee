"""Find the columns whose values say which rows of the test split form a list, and number lists."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import Problem
from headrace.lake.build import Build
from headrace.recipe import sections as s
from headrace.transform.slice_columns import SliceColumn, find_slice_column
from headrace.transform.spec import TransformSpec


def find_list_columns(
    ranking: s.Ranking, spec: TransformSpec, build: Build
) -> tuple[tuple[SliceColumn, ...], list[Problem]]:
    """Find where the values of the columns lie that tell lists apart.

    Args:
        ranking: names them.
        spec: the dataset's transform.
        build: the record of its build.

    Returns:
        the columns, and why there are no lists; with a problem the columns are of no use.
    """
    columns, problems = [], []
    for name in ranking.columns:
        column = find_slice_column(name, spec, build)
        if column is None or column.is_restored:
            text = f"the dataset has no column {name}"
            fix = "prepare it again with dataset.keep"
            if column is not None:
                text = f"the dataset version has no raw values of {name}, and ids may be shared"
                fix = "prepare it again in full (headrace prepare --full)"
            problems.append(Problem("evaluate.ranking.columns", text, fix))
        else:
            columns.append(column)
    return tuple(columns), problems


def number_lists(columns: Sequence[SliceColumn], rows: pa.Table) -> np.ndarray:
    """Return the number of each row's list, int64 (rows,); -1 where a value is missing.

    Args:
        columns: of `find_list_columns`.
        rows: table with their `dataset_columns`.
    """
    numbers = np.zeros(rows.num_rows, np.int64)
    is_missing = np.zeros(rows.num_rows, bool)
    for source in (source for column in columns for source in column.sources):
        values = source.read_values(rows)
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        if not pa.types.is_dictionary(values.type):
            values = values.dictionary_encode()
        codes = pc.fill_null(values.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        is_missing |= codes < 0
        pairs = numbers * (len(values.dictionary) + 1) + codes + 1
        numbers = np.unique(pairs, return_inverse=True)[1].reshape(-1)  # never above the rows
    numbers[is_missing] = -1
    return numbers
