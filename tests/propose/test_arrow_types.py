"""Check the column type of Arrow's types, and the values after casting."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from headrace.propose.arrow_types import (
    ARROW_TYPES,
    cast_array,
    get_column_type,
)
from headrace.schema import ColumnType

INTEGER, REAL, STRING = ColumnType.INTEGER, ColumnType.REAL, ColumnType.STRING


@pytest.mark.parametrize(
    ("arrow_type", "column_type", "why"),
    [
        (pa.int8(), "integer", "whole numbers of any width"),
        (pa.uint32(), "integer", "unsigned numbers that int64 holds"),
        (pa.uint64(), "real", "a decimal number to Spark"),
        (pa.decimal128(9, 2), "real", "a decimal number"),
        (pa.float32(), "real", "a number with a point"),
        (pa.duration("s"), "integer", "Spark reads the number"),
        (pa.null(), "integer", "nulls of any type"),
        (pa.bool_(), "boolean", "truth values"),
        (pa.large_string(), "string", "texts"),
        (pa.dictionary(pa.int8(), pa.string()), "string", "a dictionary's values"),
        (pa.date32(), "timestamp", "a day at midnight"),
        (pa.timestamp("ms", "Europe/Berlin"), "timestamp", "a moment"),
        (pa.binary(4), "binary", "bytes"),
        (pa.list_(pa.int8()), "list[integer]", "a list of whole numbers"),
        (pa.large_list(pa.float32()), "list[real]", "a list of reals"),
        (pa.list_(pa.string(), 3), "list[string]", "a list of texts"),
        (pa.list_(pa.bool_()), "other", "no feature takes lists of truth values"),
        (pa.struct([("a", pa.int8())]), "other", "no value"),
        (pa.time32("s"), "other", "Spark does not read times of day"),
    ],
)
def test_the_column_type_is_what_spark_reads(
    arrow_type: pa.DataType, column_type: str, why: str
) -> None:
    assert get_column_type(arrow_type).value == column_type, why


@pytest.mark.parametrize(
    ("values", "column_type", "expected"),
    [
        (pa.array([1, None], pa.int8()), INTEGER, [1, None]),
        (pa.array([1, 2], pa.int32()), REAL, [1.0, 2.0]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), STRING, ["a", "b", "a"]),
        (pa.array([timedelta(seconds=2)], pa.duration("s")), INTEGER, [2]),
        (pa.array([date(1970, 1, 2)]), ColumnType.TIMESTAMP, [datetime(1970, 1, 2, tzinfo=UTC)]),
        (
            pa.array([datetime(2024, 1, 31, 10)], pa.timestamp("ms")),
            ColumnType.TIMESTAMP,
            [datetime(2024, 1, 31, 10, tzinfo=UTC)],  # without a zone it is in UTC
        ),
        (pa.array([[1, 2], None], pa.list_(pa.int8())), ColumnType.INTEGERS, [[1, 2], None]),
    ],
)
def test_arrays_are_cast_to_one_arrow_type_per_column_type(
    values: pa.Array, column_type: ColumnType, expected: list
) -> None:
    converted = cast_array(pa.chunked_array([values]), column_type)
    assert converted.type == ARROW_TYPES[column_type]
    assert converted.to_pylist() == expected
