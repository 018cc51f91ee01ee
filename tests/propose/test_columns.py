"""Check a column's figures, and the types that texts become."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.propose.columns import Column, build_columns
from headrace.schema import ColumnType


def build_column(values: object, *, texts_only: bool = False) -> Column:
    return build_columns(pa.table({"x": pa.array(values)}), texts_only=texts_only)["x"]


def test_null_nan_and_infinite_numbers_are_missing() -> None:
    column = build_column(pa.array([1.0, None, float("nan"), float("inf"), 3.0, 3.0]))
    assert column.missing_mask.tolist() == [False, True, True, True, False, False]
    assert (column.rows, column.null_count, column.present_count) == (6, 3, 3)
    assert column.present_values.to_pylist() == [1.0, 3.0, 3.0]
    assert (column.distinct_count, column.is_unique) == (2, False)
    assert column.limits == (1.0, 3.0)
    np.testing.assert_array_equal(column.numbers, [1, np.nan, np.nan, np.nan, 3, 3])


def test_values_are_counted_the_most_frequent_first_and_ties_by_their_text() -> None:
    column = build_column(["b", "c", "a", "c", None, "b"])
    assert column.value_counts == [("b", 2), ("c", 2), ("a", 1)]


def test_a_column_is_unique_only_without_nulls() -> None:
    assert build_column([3, 1, 2]).is_unique
    assert not build_column([3, 1, None]).is_unique
    assert not build_column([3, 1, 1]).is_unique


def test_quantiles_are_of_the_numbers_that_are_present() -> None:
    column = build_column([0, 10, None, 20, 30, 40])
    assert column.compute_quantiles(0, 0.25, 0.5, 1) == [0, 10, 20, 40]


def test_numbers_of_times_are_microseconds() -> None:
    times = np.array(["1970-01-01T00:00:01", "1969-12-31T23:59:59"], "datetime64[us]")
    column = build_column(times)
    assert column.type is ColumnType.TIMESTAMP
    assert column.numbers.tolist() == [10**6, -(10**6)]


def test_lists_have_no_distinct_values() -> None:
    assert build_column([[1], [2]]).distinct_count == 0


@pytest.mark.parametrize(
    ("values", "texts_only", "type_", "declared"),
    [
        (["1", "2"], True, "integer", "integer"),
        (["1", "2"], False, "string", ""),  # in Parquet they are codes
        (["1.5", "2"], False, "real", "real"),
        (["2024-01-31"], False, "timestamp", "date"),
        ([["1", "2"], []], True, "list[integer]", "list[integer]"),
        ([["1", "2.5"], None], True, "list[real]", "list[real]"),
        ([["1", "x"]], True, "list[string]", ""),
        ([["1", "2"]], False, "list[string]", ""),
    ],
)
def test_texts_become_what_they_spell(
    values: list, texts_only: bool, type_: str, declared: str
) -> None:
    column = build_column(values, texts_only=texts_only)
    assert (column.type.value, column.declared_type) == (type_, declared)


def test_lists_of_texts_become_lists_of_numbers_with_their_nulls() -> None:
    column = build_column([["1", "2"], None, [], ["3"]], texts_only=True)
    assert column.values.to_pylist() == [[1, 2], None, [], [3]]


def test_texts_that_do_not_cast_are_counted() -> None:
    column = build_column([str(n) for n in range(199)] + ["x"], texts_only=True)
    assert (column.uncastable_count, column.uncastable_example) == (1, "x")
    assert column.null_count == 1
