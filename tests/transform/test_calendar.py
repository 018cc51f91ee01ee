"""Calendar arithmetic against Python's own calendar, on arrays and on tensors."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.transform.calendar import find_weekday_of_date, read_time_part

EPOCH = datetime(1970, 1, 1)


@settings(deadline=None)  # machines differ
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
    assert {part: int(read_time_part(micros, part)[0]) for part in expected} == expected


@settings(deadline=None)  # machines differ
@given(st.integers(-50, 10_050), st.integers(-2, 15), st.integers(-2, 34))
def test_dates_exist_where_python_has_them(year: int, month: int, day: int) -> None:
    arrays = (np.array([value]) for value in (year, month, day))
    weekday, exists = find_weekday_of_date(*arrays)
    try:
        expected = date(year, month, day).isoweekday()
    except ValueError:
        assert not exists[0]
    else:
        assert exists[0]
        assert weekday[0] == expected


EXTREMES = np.array([0, -1, 2**62, -(2**62), 2**63 - 1, -(2**63) + 1])


@pytest.mark.parametrize("make", [np.array, tf.constant], ids=["array", "tensor"])
def test_numbers_that_are_no_dates_do_not_wrap_around_to_one(make: object) -> None:
    grid = np.stack(np.meshgrid(EXTREMES, EXTREMES, EXTREMES), axis=-1).reshape(-1, 3)
    _, exists = find_weekday_of_date(*(make(part) for part in grid.T))
    assert not np.asarray(exists).any()


@pytest.mark.parametrize("part", ["year", "day_of_year", "day_of_week", "second"])
def test_arrays_and_tensors_have_equal_parts(part: str) -> None:
    micros = np.concatenate([EXTREMES, np.arange(-800, 800) * 86_400_000_000 * 91 + 7])
    tensor = read_time_part(tf.constant(micros), part)
    assert tensor.dtype == tf.int64
    np.testing.assert_array_equal(tensor.numpy(), read_time_part(micros, part))
