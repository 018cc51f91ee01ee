"""Columns of opened tables against those that a recipe needs, before any row is read."""

from pathlib import Path
from typing import Any

import pyspark.sql.types as T
import pytest

from headrace.errors import LakeError
from headrace.recipe import Recipe
from headrace.schema import Column, ColumnType
from headrace.source.contract import check_contracts, list_needed_columns, list_raw_columns
from headrace.source.raw_schema import RawSchema
from headrace.source.tables import RawTable
from tests.tiny import tiny_recipe

VISITS: dict[str, T.DataType] = {
    "visit": T.LongType(), "day": T.LongType(), "shop": T.StringType(), "amount": T.DoubleType(),
    "clock": T.LongType(), "note": T.StringType(), "late": T.BooleanType(),
}  # fmt: skip
SHOPS: dict[str, T.DataType] = {"shop": T.StringType(), "size": T.DoubleType()}
WINDOWS = (
    "source.windows={key: [shop], order: at, step: 60, past: 3, ahead: 1, "
    "columns: {past: amount}, targets: {later: amount}}"
)


def raw_table(name: str, types: dict[str, T.DataType], *problems: str) -> RawTable:
    schema = RawSchema.from_spark_types(types)
    rows: Any = None  # nothing reads a row
    return RawTable(
        name=name,
        where=f"/lake/{name}",
        unfiltered=rows,
        stored=schema,
        frame=rows,
        schema=schema,
        casts={},
        partition_columns=[],
        extra=[],
        problems=[*problems],
    )


def check(
    recipe: Recipe,
    visits: dict[str, T.DataType],
    shops: dict[str, T.DataType] | None = None,
    contract: list[Column] | None = None,
) -> list[str]:
    """Return what is wrong, a line each."""
    tables = {"visits": raw_table("visits", visits), "shops": raw_table("shops", shops or SHOPS)}
    try:
        check_contracts(recipe, tables, contract)
    except LakeError as error:
        head, *lines = str(error).splitlines()
        assert head == "the lake does not fit the recipe; nothing was published:"
        return [line.removeprefix("  - ") for line in lines if line.startswith("  - ")]
    return []


def without(types: dict[str, T.DataType], name: str) -> dict[str, T.DataType]:
    return {column: kind for column, kind in types.items() if column != name}


def test_columns_that_are_needed_of_every_table(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "dataset.keep=[note]", "unavailable=[late]")
    assert list_raw_columns(recipe) == ["clock", "amount", "size", "shop", "note"]
    needed = list_needed_columns(recipe)
    assert set(needed) == {"visits", "shops"}
    # `size` comes from the join; columns of expressions are left to Spark
    assert sorted(needed["visits"].types) == [
        "amount",
        "clock",
        "day",
        "late",
        "note",
        "shop",
        "visit",
    ]
    assert [*needed["shops"].types] == ["shop", "size"]
    contract = [Column("visit", frozenset(ColumnType)), Column("size", frozenset(ColumnType))]
    assert [*list_needed_columns(recipe, contract)["visits"].types] == ["visit"]


def test_a_lake_that_fits(tmp_path: Path) -> None:
    assert check(tiny_recipe(tmp_path), VISITS) == []


def test_every_violation_is_named_once_with_what_needs_the_column(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "clean.rules=[{kind: not_null, columns: [visit, paid]}]")
    visits = {**without(VISITS, "clock"), "Clock": T.LongType(), "amount": T.StringType()}
    problems = check(recipe, visits)
    assert len(problems) == 3
    assert problems[0].startswith(
        "table 'visits': column 'paid' is missing (needed by clean.rules.0 (not_null))"
    )
    assert problems[1].startswith(
        "table 'visits': column 'clock' is missing (needed by derive.hour (hour_of_day))"
    )
    assert problems[1].endswith("names are case-sensitive, did you mean 'Clock'?")
    assert problems[2] == (
        "table 'visits': column 'amount' has type string, expected boolean or integer or real "
        "(needed by features.amount (standardize))"
    )


def test_what_is_wrong_with_declared_columns_comes_first(tmp_path: Path) -> None:
    tables = {
        "visits": raw_table("visits", VISITS, "table 'visits': no such column"),
        "shops": raw_table("shops", SHOPS),
    }
    with pytest.raises(LakeError, match=r"\n  - table 'visits': no such column$"):
        check_contracts(tiny_recipe(tmp_path), tables)


@pytest.mark.parametrize(
    ("visits", "shops", "problem"),
    [
        (
            VISITS,
            {**SHOPS, "shop": T.LongType()},
            "source.joins.0.key: 'shop' is string in 'visits' and integer in 'shops'; a join needs "
            "equal types, which source.tables.shops.columns can declare",
        ),
        (
            {**VISITS, "size": T.DoubleType()},
            SHOPS,
            "source.joins.0.columns.size: table 'visits' has its own column 'size'; give the "
            "joined column another name",
        ),
        (
            VISITS,
            {"shop": T.StringType(), "place": T.StringType()},
            "table 'shops': column 'size' is missing (needed by source.joins.0.columns.size); the "
            "columns are: place, shop",
        ),
    ],
)
def test_joins(
    tmp_path: Path, visits: dict[str, T.DataType], shops: dict[str, T.DataType], problem: str
) -> None:
    assert check(tiny_recipe(tmp_path), visits, shops) == [problem]


def test_a_joined_column_has_the_type_that_its_table_says(tmp_path: Path) -> None:
    (problem,) = check(tiny_recipe(tmp_path), VISITS, {**SHOPS, "size": T.StringType()})
    assert problem.startswith("table 'visits': column 'size' has type string")


def test_windows_add_columns_and_need_a_time(tmp_path: Path) -> None:
    features = "features={past: {kind: series, length: 3}, amount: {kind: standardize}}"
    recipe = tiny_recipe(
        tmp_path, WINDOWS, features, "derive={}", "label={expression: later, kind: regression}",
        "model={kind: rnn}", "split={time: {column: at, validation_from: '2020-01-02', "
        "test_from: '2020-01-03'}}", "clean.dedup=null",
    )  # fmt: skip
    visits = {**VISITS, "at": T.TimestampType()}
    assert check(recipe, visits) == []
    assert "past" not in list_needed_columns(recipe)["visits"].types
    problems = check(recipe, {**visits, "at": T.StringType(), "later": T.DoubleType()})
    assert problems[0] == (
        "table 'visits': column 'at' has type string, expected timestamp (needed by "
        "source.windows.order)"
    )
    assert problems[1] == (
        "table 'visits': source.windows: there is a column 'later' already; give the new one "
        "another name"
    )


def test_a_contract_of_another_takes_the_place_of_the_recipes(tmp_path: Path) -> None:
    contract = [Column("visit", frozenset({ColumnType.STRING}), "the model")]
    assert check(tiny_recipe(tmp_path), without(VISITS, "clock"), contract=contract) == [
        "table 'visits': column 'visit' has type integer, expected string (needed by the model)"
    ]


def test_a_clock_in_a_zone_is_not_read_of_dates(tmp_path: Path) -> None:
    derived = "{kind: time_part, columns: [at], part: day_of_week, time_zone: Asia/Tokyo}"
    recipe = tiny_recipe(
        tmp_path, f"derive.weekday={derived}", "features.weekday={kind: cyclic, period: 7}"
    )
    assert check(recipe, VISITS | {"at": T.TimestampType()}) == []
    assert check(recipe, VISITS | {"at": T.DateType()}) == [
        "derive.weekday.time_zone: 'at' is a date, the same in every zone; leave the key out"
    ]
