"""The Arrow execution of a transform, against values worked out by hand."""

import farmhash
import numpy as np
import pyarrow as pa
import pytest

from pipelines.transform.arrow import (
    derive,
    hash_ids,
    read_column,
    standardize,
    vocabulary_ids,
)


def integers(*values: int | None) -> object:
    return read_column(pa.array(values, pa.int64()), "integer")


def test_standardize_gives_zero_where_missing() -> None:
    column = read_column(pa.array([1.0, None, float("nan"), float("inf"), 7.0]), "real")
    assert standardize(column, 3.0, 2.0).tolist() == [-1.0, 0.0, 0.0, 0.0, 2.0]


def test_standardize_clips_to_float32() -> None:
    column = read_column(pa.array([1e300, -1e300]), "real")
    largest = float(np.finfo(np.float32).max)
    assert standardize(column, 0.0, 1.0).tolist() == [largest, -largest]


def test_vocabulary_ids_missing_unknown_known() -> None:
    column = read_column(pa.array(["b", None, "", "zz", "a"]), "string")
    assert vocabulary_ids(column, pa.array(["a", "b", ""])).tolist() == [3, 0, 4, 1, 2]


def test_vocabulary_of_integers_goes_by_their_text() -> None:
    big = 2**53 + 1  # not a float64
    ids = vocabulary_ids(integers(-5, big, None, 2**53), pa.array(["-5", str(big)]))
    assert ids.tolist() == [2, 3, 0, 1]


def test_hash_ids_are_fingerprint64_modulo_buckets() -> None:
    column = read_column(pa.array(["é", None, "", "é"]), "string")
    e, empty = (1 + farmhash.fingerprint64(word) % 8 for word in ("é".encode(), b""))
    assert hash_ids(column, 8).tolist() == [e, 0, empty, e]


@pytest.mark.parametrize(
    ("date", "day"),
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
def test_day_of_week(date: tuple[int | None, ...], day: int | None) -> None:
    found = derive("day_of_week", [integers(value) for value in date])
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
        found = derive(op, [integers(clock)])
        assert found.missing[0] == (expected is None)
        assert expected is None or found.array[0] == expected


def test_difference_is_missing_where_either_is_or_it_overflows() -> None:
    left = read_column(pa.array([5.0, None, 1e308, 1.0]), "real")
    right = read_column(pa.array([3, 1, None, 4], pa.int32()), "integer")
    found = derive("difference", [left, right])
    assert found.array[[0, 3]].tolist() == [2.0, -3.0]
    assert found.missing.tolist() == [False, True, True, False]
    huge = derive("difference", [left, read_column(pa.array([0.0, 0.0, -1e308, 0.0]), "real")])
    assert huge.missing.tolist() == [False, True, True, False]


def test_a_column_that_does_not_cast_is_an_error() -> None:
    with pytest.raises(pa.ArrowInvalid):
        read_column(pa.array(["a"]), "integer")
