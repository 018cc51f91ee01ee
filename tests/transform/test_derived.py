"""Derived columns of Arrow batches, against values worked out by hand."""

import pyarrow as pa
import pytest

from headrace.columns.values import Values, read_column
from headrace.transform.derived import derive_values
from headrace.transform.spec import DerivedColumn
from tests.fitting import read_integers


def derive(op: str, *inputs: Values, **options: object) -> Values:
    names = tuple(f"c{i}" for i in range(len(inputs)))
    return derive_values(DerivedColumn(name="d", op=op, columns=names, **options), list(inputs))


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
    found = derive("day_of_week", *(read_integers(value) for value in when))
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
        found = derive(op, read_integers(clock))
        assert found.missing[0] == (expected is None)
        assert expected is None or found.array[0] == expected


def test_difference_is_missing_where_either_is_or_it_overflows() -> None:
    left = read_column(pa.array([5.0, None, 1e308, 1.0]), "real")
    right = read_column(pa.array([3, 1, None, 4], pa.int32()), "integer")
    found = derive("difference", left, right)
    assert found.array[[0, 3]].tolist() == [2.0, -3.0]
    assert found.missing.tolist() == [False, True, True, False]
    huge = derive("difference", left, read_column(pa.array([0.0, 0.0, -1e308, 0.0]), "real"))
    assert huge.missing.tolist() == [False, True, True, False]


def test_seconds_since_an_origin() -> None:
    times = read_column(pa.array([1_500_000, 0, None], pa.int64()), "timestamp")
    found = derive("seconds_since", times, origin=1_000_000)
    assert found.array[:2].tolist() == [0.5, -1.0]
    assert found.missing.tolist() == [False, False, True]
