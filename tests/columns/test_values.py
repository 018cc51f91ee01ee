"""Columns read as values, against values worked out by hand."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from headrace.columns.values import read_column
from tests.fitting import read_integers


def test_what_is_missing() -> None:
    real = read_column(pa.array([1.0, None, float("nan"), float("inf"), -0.0]), "real")
    assert real.missing.tolist() == [False, True, True, True, False]
    assert read_integers(5, None, -(2**63)).missing.tolist() == [False, True, True]
    text = read_column(pa.array(["", None]), "string")
    assert text.missing.tolist() == [False, True]


def test_narrow_types_decimals_booleans_and_dates_are_read_as_their_kind() -> None:
    from decimal import Decimal

    assert read_column(pa.array([1, 2], pa.int8()), "real").array.tolist() == [1.0, 2.0]
    assert read_column(pa.array([Decimal("1.25")]), "real").array.tolist() == [1.25]
    assert read_column(pa.array([True, False]), "integer").array.tolist() == [1, 0]
    day = read_column(pa.array([date(1970, 1, 2)]), "timestamp")
    assert day.array.tolist() == [86_400_000_000]
    moment = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    for unit in ("s", "ms", "us", "ns"):
        column = read_column(pa.array([moment], pa.timestamp(unit, "UTC")), "timestamp")
        assert column.array.tolist() == [1_000_000], unit


def test_a_list_column_keeps_its_null_elements_in_place() -> None:
    lists = read_column(pa.array([[1, None], None, [], [3]], pa.list_(pa.int32())), "integers")
    assert lists.offsets.tolist() == [0, 2, 2, 2, 3]
    assert lists.missing.tolist() == [False, True, False]
    assert lists.elements.kind == "integer"
    sliced = read_column(pa.array([[9], [1, 2]], pa.list_(pa.int64())).slice(1), "integers")
    assert (sliced.array.tolist(), sliced.offsets.tolist()) == ([1, 2], [0, 2])


def test_a_column_that_does_not_cast_is_an_error() -> None:
    with pytest.raises(pa.ArrowInvalid):
        read_column(pa.array(["a"]), "integer")
