"""Raw and derived columns as Arrow and NumPy values, against values worked out by hand."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.transform.columns import Values, derive, read_column, time_part
from headrace.transform.spec import DerivedColumn


def integers(*values: int | None) -> Values:
    return read_column(pa.array(values, pa.int64()), "integer")


def derived(op: str, *inputs: Values, **options: object) -> Values:
    names = tuple(f"c{i}" for i in range(len(inputs)))
    return derive(DerivedColumn(name="d", op=op, columns=names, **options), list(inputs))


def test_what_is_missing() -> None:
    real = read_column(pa.array([1.0, None, float("nan"), float("inf"), -0.0]), "real")
    assert real.missing.tolist() == [False, True, True, True, False]
    assert integers(5, None, -(2**63)).missing.tolist() == [False, True, True]
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


@pytest.mark.parametrize(
    ("when", "day"),
    [
        ((2013, 1, 1), 2),  # a Tuesday
        ((2000, 2, 29), 2),  # a leap century
        ((2026, 11, 22), 7),
        ((1, 1, 1), 1),
        ((9999, 12, 31), 5),
        ((1900, 2, 29), None),  # no leap year
        ((2013, 13, 1), None),
        ((2013, 4, 31), None),
        ((2013, 0, 1), None),
        ((0, 1, 1), None),
        ((2013, None, 1), None),
        ((2**62, -(2**62), 2**62), None),
    ],
)
def test_day_of_week(when: tuple[int | None, ...], day: int | None) -> None:
    found = derived("day_of_week", *(integers(value) for value in when))
    assert found.missing[0] == (day is None)
    assert day is None or found.array[0] == day


@pytest.mark.parametrize(
    ("clock", "hour", "minute"),
    [
        (517, 5, 317),
        (0, 0, 0),
        (2400, 24, 1440),
        (2359, 23, 1439),
        (1260, None, None),
        (-1, None, None),
        (2500, None, None),
        (None, None, None),
    ],
)
def test_clock(clock: int | None, hour: int | None, minute: int | None) -> None:
    for op, expected in {"hour_of_day": hour, "minute_of_day": minute}.items():
        found = derived(op, integers(clock))
        assert found.missing[0] == (expected is None)
        assert expected is None or found.array[0] == expected


def test_difference_is_missing_where_either_is_or_it_overflows() -> None:
    left = read_column(pa.array([5.0, None, 1e308, 1.0]), "real")
    right = read_column(pa.array([3, 1, None, 4], pa.int32()), "integer")
    found = derived("difference", left, right)
    assert found.array[[0, 3]].tolist() == [2.0, -3.0]
    assert found.missing.tolist() == [False, True, True, False]
    huge = derived("difference", left, read_column(pa.array([0.0, 0.0, -1e308, 0.0]), "real"))
    assert huge.missing.tolist() == [False, True, True, False]


def test_seconds_since_an_origin() -> None:
    times = read_column(pa.array([1_500_000, 0, None], pa.int64()), "timestamp")
    found = derived("seconds_since", times, origin=1_000_000)
    assert found.array[:2].tolist() == [0.5, -1.0]
    assert found.missing.tolist() == [False, False, True]


EPOCH = datetime(1970, 1, 1)


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)))
def test_parts_of_a_time_are_those_of_pythons_calendar(when: datetime) -> None:
    micros = np.array([(when - EPOCH) // timedelta(microseconds=1)])
    expected = {
        "year": when.year,
        "month": when.month,
        "day": when.day,
        "day_of_year": when.timetuple().tm_yday,
        "day_of_week": when.isoweekday(),
        "hour": when.hour,
        "minute": when.minute,
        "second": when.second,
    }
    assert {part: int(time_part(micros, part)[0]) for part in expected} == expected
