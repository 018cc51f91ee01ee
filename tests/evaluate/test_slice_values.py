"""The names and the rows of slices: exact, told apart whatever the values, few enough to read."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.evaluate import slice_values
from headrace.evaluate.slice_values import (
    EncodedColumn,
    combine_columns,
    encode_booleans,
    encode_integers,
    encode_reals,
    encode_texts,
    encode_times,
    format_real,
    format_text,
)
from headrace.recipe.slice_limits import parse_limits

INT64 = st.integers(-(2**63) + 1, 2**63 - 1)
HUGE = 2**53
UTC = pa.timestamp("us", "UTC")
ODD_TEXTS = st.sampled_from(
    [
        "missing",
        "",
        " ",
        "a, b=c",
        '"a"',
        "e\u0301",
        "\u00e9",
        "a" * 61 + "b",
        "a" * 61 + "c",
        "NaN",
    ]
)
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # of the years 1 and 9999


def name_rows(encoded: EncodedColumn) -> list[str]:
    assert len({*encoded.names}) == len(encoded.names)
    return [encoded.names[code] for code in encoded.codes]


def find_bucket(value: object, limits: list, column: str) -> str:
    """Return the bucket of a value by comparing it with each limit, as Python does, exactly."""
    words = [str(x) if isinstance(x, int) else format_real(x) for x in limits]
    if value < limits[0]:
        return f"{column} below {words[0]}"
    above = [number for number, limit in enumerate(limits) if value >= limit][-1]
    if above == len(limits) - 1:
        return f"{column} from {words[-1]}"
    return f"{column} {words[above]} to {words[above + 1]}"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(INT64 | st.none(), min_size=1, max_size=20),
    st.sets(st.integers(-(2**64), 2**64) | st.floats(allow_nan=False, width=64), min_size=1,
            max_size=5),
)  # fmt: skip
def test_buckets_of_whole_numbers_are_those_of_exact_comparison(
    values: list[int | None], limits: set[int | float]
) -> None:
    rising = sorted(
        limit for limit in limits if not isinstance(limit, float) or math.isfinite(limit)
    )
    if not rising:
        return
    rows = name_rows(encode_integers("x", pa.array(values, pa.int64()), rising))
    expected = ["x missing" if v is None else find_bucket(v, rising, "x") for v in values]
    assert rows == expected


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(width=64) | st.none(), min_size=1, max_size=20),
    st.sets(st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False),
            min_size=1, max_size=5),
)  # fmt: skip
def test_buckets_of_real_numbers_are_those_of_exact_comparison(
    values: list[float | None], limits: set[int | float]
) -> None:
    rising = sorted(limits)
    rows = name_rows(encode_reals("x", pa.array(values, pa.float64()), rising))
    expected = [
        "x missing" if v is None else "x=NaN" if math.isnan(v) else find_bucket(v, rising, "x")
        for v in values
    ]
    assert rows == expected


def test_a_limit_of_four_hundred_digits_is_above_every_number() -> None:
    reals = encode_reals("x", pa.array([1e308, math.inf]), [10**400])
    assert [row[:7] for row in name_rows(reals)] == ["x below", "x from "]


@settings(max_examples=100, deadline=None)
@given(st.lists(INT64 | st.none(), min_size=1, max_size=40))
def test_whole_numbers_are_told_apart_with_all_digits(values: list[int | None]) -> None:
    rows = name_rows(encode_integers("x", pa.array(values, pa.int64()), None))
    assert rows == ["x missing" if value is None else f"x={value}" for value in values]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=64) | st.none(), min_size=1, max_size=40))
def test_real_numbers_are_told_apart(values: list[float | None]) -> None:
    rows = name_rows(encode_reals("x", pa.array(values, pa.float64()), None))
    for value, row in zip(values, rows, strict=True):
        if value is None:
            assert row == "x missing"
        elif math.isnan(value):
            assert row == "x=NaN"
        else:
            assert float(row.removeprefix("x=")) == value
            assert not row.startswith("x=-0") or value < 0  # -0.0 is 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=70) | ODD_TEXTS | st.none(), min_size=1, max_size=30))
def test_texts_are_told_apart_and_from_what_is_missing(values: list[str | None]) -> None:
    encoded = encode_texts("x", pa.array(values, pa.string()))
    rows = name_rows(encoded)
    assert len({*rows}) == len({*values})
    for value, row in zip(values, rows, strict=True):
        assert (row == "x=missing") == (value is None)
        assert len(row) < 450


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=5) | st.just("b, y=c"), st.text(max_size=5)), min_size=1)
)
def test_combinations_are_told_apart(pairs: list[tuple[str, str]]) -> None:
    columns = [
        encode_texts(name, pa.array([pair[i] for pair in pairs])) for i, name in enumerate("xy")
    ]
    rows = name_rows(combine_columns(columns))
    assert len({*rows}) == len({*pairs})


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Köln", "Köln"), ("two words", "two words"), ("missing", '"missing"'), ("", '""'),
     (" a", '" a"'), ("a=b", '"a=b"'), ("e\u0301", '"e\\u0301"'), ("a\u202eb", '"a\\u202eb"')],
)  # fmt: skip
def test_texts_that_could_be_taken_for_others_are_quoted(text: str, shown: str) -> None:
    assert format_text(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(50.0, "50"), (-0.0, "0"), (0.1, "0.1"), (1e15, "1000000000000000"), (1e22, "1e+22"),
     (0.30000000000000004, "0.30000000000000004"), (-math.inf, "-inf"), (5e-324, "5e-324")],
)  # fmt: skip
def test_real_numbers_are_as_short_as_they_can_be(value: float, shown: str) -> None:
    assert format_real(value) == shown


def test_times_are_sliced_by_day_from_the_first_year_to_the_last() -> None:
    values = pa.array([FIRST, LAST, 0, 86_400_000_000, -1, None], UTC)
    assert name_rows(encode_times("at", values, None)) == [
        "at=0001-01-01", "at=9999-12-31", "at=1970-01-01", "at=1970-01-02", "at=1969-12-31",
        "at=missing",
    ]  # fmt: skip


def test_times_are_divided_by_dates_and_by_times() -> None:
    limits = parse_limits(["0001-01-01", "2024-05-31", "2024-05-31T12:00:00.5+02:00"])
    noon = limits[-1]
    values = pa.array([FIRST, limits[1] - 1, limits[1], noon - 1, noon, LAST, None], UTC)
    middle = "at 2024-05-31 to 2024-05-31T10:00:00.500000"
    assert name_rows(encode_times("at", values, limits)) == [
        "at 0001-01-01 to 2024-05-31", "at 0001-01-01 to 2024-05-31", middle, middle,
        "at from 2024-05-31T10:00:00.500000", "at from 2024-05-31T10:00:00.500000", "at=missing",
    ]  # fmt: skip


def test_booleans_are_true_and_false_as_long_as_they_are_booleans() -> None:
    values = pa.array([1, 0, None], pa.int64())
    assert name_rows(encode_booleans("x", values)) == ["x=true", "x=false", "x missing"]
    numbers = pa.array([1, 0, 2], pa.int64())
    assert name_rows(encode_booleans("x", numbers)) == ["x=1", "x=0", "x=2"]


def test_many_numbers_are_five_buckets_of_equal_size_between_values_that_occur() -> None:
    numbers = HUGE * 4 + np.arange(100) * 3  # float64 knows every other one
    encoded = encode_integers("x", pa.array(numbers), None)
    assert np.bincount(encoded.codes, minlength=6).tolist() == [20, 20, 20, 20, 20, 0]
    assert encoded.names[0] == f"x below {HUGE * 4 + 60}"
    category = encode_integers("x", pa.array(numbers), None, is_category=True)
    assert category.names[1] == f"x={HUGE * 4 + 3}"


@pytest.mark.parametrize("values", [[None, None], [math.nan, None], [math.inf] * 60])
def test_columns_without_a_number_have_slices_all_the_same(values: list) -> None:
    for limits in (None, [0]):
        assert len(name_rows(encode_reals("x", pa.array(values, pa.float64()), limits))) == len(
            values
        )


def test_rare_values_are_one_slice_and_it_is_said() -> None:
    texts = pa.array(["a"] * 5 + ["b"] * 4 + ["c", None, "d", "e"] + ["f"] * 3)
    encoded = encode_texts("x", texts, most=3)
    rows = name_rows(encoded)
    assert rows == ["x=a"] * 5 + ["x=b"] * 4 + ["x: 3 other values", "x=missing"] + [
        "x: 3 other values"] * 2 + ["x=f"] * 3  # fmt: skip
    assert encoded.notes == (
        "x has 6 values in the test rows; the 3 most frequent are slices of their own, all others "
        "are one, with 3 rows (18.8%)",
    )
    pairs = combine_columns([encoded, encode_integers("y", pa.array([1] * 16), None)], most=3)
    assert name_rows(pairs)[:2] == ["x=a, y=1"] * 2
    assert "2 other combinations" in pairs.names
    assert len(pairs.notes) == 2


def test_three_columns_of_ids_do_not_overflow() -> None:
    ids = pa.array([f"id {n}" for n in range(3000)])
    combined = combine_columns([encode_texts(name, ids) for name in "xyz"])
    assert len(combined.names) == slice_values.MAX_VALUES + 1
    assert np.bincount(combined.codes).max() == 2000


@pytest.mark.parametrize(
    ("values", "limits", "expected"),
    [
        # Limits with a common number of decimals show 1e-22 as 1.
        ([1e-23, 1e-20, 1e-17], [0.0, 1e-22, 1e-18, 1e-16],
         ["x 0 to 1e-22", "x 1e-22 to 1e-18", "x 1e-18 to 1e-16"]),
        # Limits as far apart as int64 goes do not seem to fall.
        ([-(2**63) + 1, 0, 2**63 - 1], [-(2**63), 0, 2**63 - 1],
         ["x -9223372036854775808 to 0", "x 0 to 9223372036854775807",
          "x from 9223372036854775807"]),
        # 0 is not below 0, nor is a number at a limit that is no number of its type.
        ([0, 1, 2], [0.0, 1.5], ["x 0 to 1.5", "x 0 to 1.5", "x from 1.5"]),
    ],
)  # fmt: skip
def test_limits_that_others_got_wrong(values: list, limits: list, expected: list[str]) -> None:
    encode = encode_reals if isinstance(values[0], float) else encode_integers
    assert name_rows(encode("x", pa.array(values), limits)) == expected


def test_what_is_missing_is_no_text_of_that_name() -> None:
    rows = name_rows(encode_texts("x", pa.array(["a", None, "nan", "NaN", "None", "null"])))
    assert rows == ["x=a", "x=missing", "x=nan", "x=NaN", "x=None", "x=null"]
