"""Check which columns identify rows, and which hold rows that belong together."""

import numpy as np

from headrace.propose.keys import RowKey, find_calendar_key, find_group_column, find_row_key
from headrace.propose.sample import Sample
from tests.propose.tables import build_sample, list_days

ROWS = 1_000
NUMBERS = np.arange(ROWS)


def find_key(columns: dict, **options: int) -> RowKey:
    return find_row_key(build_sample(columns, **options), None)


def test_of_unique_columns_the_one_that_is_named_like_a_key() -> None:
    columns = {"at": list_days(ROWS), "number": NUMBERS * 3, "order_id": NUMBERS * 7}
    assert find_key(columns).columns == ("number",)  # a number by its name, and the first of two
    assert find_key({"x": NUMBERS * 3, "order_id": NUMBERS * 7}).columns == ("order_id",)
    assert find_key({"at": list_days(ROWS), "x": NUMBERS * 3}).columns == ("x",)
    assert find_key({"x": NUMBERS * 3, "count": NUMBERS}).columns == ("count",)  # row numbers


def test_a_key_of_a_sample_is_certain_by_its_name_or_where_all_rows_are_sampled() -> None:
    columns = {"x": [f"t{n}" for n in NUMBERS]}
    assert find_key(columns) == RowKey(("x",), ROWS, is_certain=True)
    assert find_key(columns, table_rows=10**6) == RowKey(("x",), ROWS, is_certain=False)
    columns = {"order_id": columns["x"]}
    assert find_key(columns, table_rows=10**6) == RowKey(("order_id",), ROWS, is_certain=True)


def test_columns_that_tell_rows_apart_together() -> None:
    columns = {"a": NUMBERS % 10, "b": NUMBERS // 10 % 10, "c": NUMBERS // 100, "d": NUMBERS % 2}
    # The first adds 10 keys, each of the next two makes them ten times as many; d adds none.
    assert find_key(columns) == RowKey(("a", "b", "c"), 1_000, is_certain=True)


def test_no_column_is_added_that_tells_no_more_rows_apart() -> None:
    assert find_key({"a": NUMBERS % 7, "b": NUMBERS % 7}) == RowKey(("a",), 7, is_certain=True)


def test_tables_of_reals_and_of_lists_have_keys_too() -> None:
    assert find_key({"a": [0.5, 1.5, 1.5], "b": [0.5, 0.5, 2.5]}).columns == ("a", "b")
    key = find_key({name: [[1]] * 3 for name in "abcde"})
    assert key == RowKey(("a", "b", "c", "d"), 0, is_certain=False)


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


def test_the_label_is_no_part_of_a_key() -> None:
    sample = build_sample({"y": np.arange(ROWS), "a": np.arange(ROWS) % 7})
    assert find_row_key(sample, "y").columns == ("a",)


def test_one_sample_row_is_enough_for_a_key() -> None:
    sample: Sample = build_sample({"a": ["x"]})
    assert find_row_key(sample, None).columns == ("a",)
