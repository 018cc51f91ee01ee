"""Check which columns identify rows, and which hold rows that belong together."""

import numpy as np
import pytest

from headrace.propose.keys import (
    RowKey,
    count_distinct_rows,
    find_calendar_key,
    find_group_column,
    find_row_key,
)
from headrace.propose.sample import Sample
from tests.propose.tables import build_sample, list_days

ROWS = 1_000
NUMBERS = np.arange(ROWS)


def find_key(columns: dict, **options: int) -> RowKey:
    return find_row_key(build_sample(columns, **options), None)


RNG = np.random.default_rng(9)


def test_of_unique_columns_the_one_that_is_named_like_a_key() -> None:
    columns = {"at": list_days(ROWS), "number": NUMBERS * 3, "order_id": NUMBERS * 7}
    assert find_key(columns).columns == ("number",)  # a number by its name, and the first of two
    assert find_key({"code": NUMBERS * 3, "count": NUMBERS}).columns == ("code",)
    assert find_key({"x": NUMBERS * 3, "row": NUMBERS}).columns == ("row",)  # row numbers
    assert find_key({"at": list_days(ROWS), "x": [f"k{n}" for n in NUMBERS]}).columns == ("x",)


MEASURED = {
    "reals": RNG.normal(size=ROWS),
    "whole numbers as reals": RNG.permutation(10**6)[:ROWS].astype(float),
    "whole numbers": RNG.permutation(10**6)[:ROWS],
    "rounded": np.round(RNG.permutation(10 * ROWS)[:ROWS] / 7, 2),
    "sentences": [f"the word {n} of many" for n in NUMBERS],
    "flags": NUMBERS % 2 == 0,
}


@pytest.mark.parametrize("name", MEASURED)
def test_what_was_measured_is_no_key_however_unique(name: str) -> None:
    for column in ("x", "number of visits", "body mass index", "score"):
        assert find_key({column: MEASURED[name]}) == RowKey((), 0, is_certain=False)
    assert find_key({"x": MEASURED[name], "y": RNG.normal(size=ROWS)}).columns == ()


@pytest.mark.parametrize(
    ("name", "values", "is_certain"),
    [
        ("id", RNG.permutation(10**6)[:ROWS], True),
        ("rownames", RNG.permutation(10**6)[:ROWS], True),
        ("x", [f"K-{n:06}" for n in NUMBERS], True),
        (
            "iata",
            [chr(65 + n // 100) + chr(65 + n // 10 % 10) + chr(65 + n % 10) for n in NUMBERS],
            True,
        ),
        ("x", NUMBERS + 5_000, True),
        ("name", [f"name{'abcdefghij'[n % 10]}" * (n // 10 + 1) for n in NUMBERS], False),
        ("at", list_days(ROWS), False),
        ("year", NUMBERS + 1900, False),
    ],
)
def test_a_key_by_its_name_or_by_its_values(name: str, values: object, is_certain: bool) -> None:
    assert find_key({name: values}) == RowKey((name,), ROWS, is_certain=is_certain)


def test_a_key_of_a_sample_is_certain_by_its_name_or_where_all_rows_are_sampled() -> None:
    columns = {"x": [f"t{n}" for n in NUMBERS]}
    assert find_key(columns) == RowKey(("x",), ROWS, is_certain=True)
    assert find_key(columns, table_rows=10**6) == RowKey(("x",), ROWS, is_certain=False)
    columns = {"order_id": columns["x"]}
    assert find_key(columns, table_rows=10**6) == RowKey(("order_id",), ROWS, is_certain=True)


def test_names_and_times_that_tell_rows_apart_together() -> None:
    columns = {
        "origin": [f"o{n % 10}" for n in NUMBERS],
        "at": list_days(100)[NUMBERS // 10],
        "x": RNG.normal(size=ROWS),
    }
    assert find_key(columns) == RowKey(("at", "origin"), ROWS, is_certain=False)
    ids = {"order_id": NUMBERS // 10, "line_no": NUMBERS % 10}
    assert find_key(ids) == RowKey(("order_id", "line_no"), ROWS, is_certain=False)


def test_columns_that_happen_to_tell_rows_apart_are_no_key() -> None:
    digits = {"a": NUMBERS % 10, "b": NUMBERS // 10 % 10, "c": NUMBERS // 100}
    assert find_key(digits).columns == ()
    texts = {name: [f"v{n}" for n in values] for name, values in digits.items()}
    assert find_key(texts).columns == ()  # every combination of categories once
    penguins = {"island": [f"i{n % 3}" for n in NUMBERS], "year": 2007 + NUMBERS % 3}
    assert find_key({**penguins, "bill": RNG.normal(size=ROWS)}).columns == ()


def test_rows_are_counted_by_all_their_columns() -> None:
    columns = {"a": NUMBERS % 10, "b": [None if n % 20 < 10 else "x" for n in NUMBERS]}
    sample = build_sample({**columns, "list": [[1]] * ROWS})
    assert count_distinct_rows(list(sample.columns.values())) == 20


def test_a_group_column_has_many_values_of_several_rows() -> None:
    sample = build_sample(
        {
            "customer": NUMBERS % 200,
            "shop": NUMBERS % 300,
            "site": NUMBERS % 99,  # one group too few
            "user": NUMBERS % 900,  # hardly any value has two rows
            "x": NUMBERS % 400,  # not named like a group
        }
    )
    columns = list(sample.columns.values())
    group = find_group_column(columns)
    assert group is not None
    assert group.name == "shop"  # the one with the most groups
    assert find_group_column([sample.columns["x"], sample.columns["site"]]) is None


def test_a_calendar_key_has_three_whole_numbers_and_a_hundred_days() -> None:
    days = {"Year": np.full(ROWS, 2024), "month": NUMBERS % 12 + 1, "DAY": NUMBERS // 12 % 28 + 1}
    assert find_calendar_key(build_sample(days).columns) == ("Year", "month", "DAY")
    few = days | {"DAY": NUMBERS % 2}  # 12 months of one day each: the parity is the same
    assert find_calendar_key(build_sample(few).columns) == ()
    assert find_calendar_key(build_sample(days | {"DAY": NUMBERS / 2}).columns) == ()
    del days["month"]
    assert find_calendar_key(build_sample(days).columns) == ()


def test_a_count_is_no_group() -> None:
    columns = {
        "user_count": NUMBERS % 200, "visits per customer": NUMBERS % 200,
        "body mass index": NUMBERS % 200, "workshop": NUMBERS % 200,
    }  # fmt: skip
    assert find_group_column(list(build_sample(columns).columns.values())) is None


def test_the_label_is_no_part_of_a_key() -> None:
    sample = build_sample({"id": NUMBERS, "code": NUMBERS + 7})
    assert find_row_key(sample, "id").columns == ("code",)


def test_one_sample_row_says_nothing_of_a_key() -> None:
    sample: Sample = build_sample({"a": ["x"]})
    assert find_row_key(sample, None).columns == ()
