"""Columns may be called anything; what a recipe and Spark take is narrower."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.propose.names import Names, identifier, in_sql, recipe_name, sql_text
from headrace.recipe.column_checks import names_in
from headrace.recipe.model_requirements import TAKEN_INPUTS

NASTY = [
    "a b", "no", "x:y", "é", "it's", "`q`", "1", "a.b", "select", "case", "date", "interval", "end",
    "null", "label", "weight", "# 1", "- a", "{a}", "a\nb", "日本", " lead", "A", "a", "Größe (cm)",
    "order", "table", "timestamp", "100%", "a,b", '"', "\\", "x_missing", "x", "split", "not",
    "distinct", "_", "true",
]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("temp", "temp"),
        ("Größe (cm)", "Grosse_cm"),
        ("1st", "column_1st"),
        ("日本", "column"),
        ("a.b", "a_b"),
    ],
)
def test_the_name_is_the_column_s_where_that_is_possible(column: str, name: str) -> None:
    assert identifier(column) == name


@given(st.lists(st.text(min_size=1, max_size=12) | st.sampled_from(NASTY), unique=True))
def test_names_are_valid_and_each_is_given_once(columns: list[str]) -> None:
    names = Names(columns)
    given_names = [names.feature(column) for column in columns]
    parts = [names.feature(column, "hour") for column in columns]
    for name in (*given_names, *parts):
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
        assert name not in TAKEN_INPUTS
    everything = [name.lower() for name in (*given_names, *parts)]
    made = [f"{name}{end}" for name in everything for end in ("_missing", "_sin", "_cos")]
    assert len({*everything, *made}) == 4 * len(everything)
    # A derived column would hide a raw one of its name.
    assert not {*parts} & {*columns}
    for column, name in zip(columns, given_names, strict=True):
        assert name == column or name not in columns


def test_a_recipe_is_named_like_its_table() -> None:
    assert recipe_name("var/lake/flights/") == "flights"
    assert recipe_name("/data/Sales 2024.csv.gz") == "Sales_2024"
    assert recipe_name("s3://bucket/lake/events/day=2024-01-01") == "events"
    assert recipe_name("lake/clicks/*.csv") == "clicks"
    assert recipe_name("/2024/") == "table_2024"
    assert recipe_name("日本.csv") == "column"


def test_sql_names_what_was_meant() -> None:
    assert in_sql("arr_delay") == "arr_delay"
    assert in_sql("a b") == "`a b`"
    assert in_sql("Case") == "`Case`"
    assert names_in(in_sql("a b")) == ["a b"]
    assert sql_text("it's \\") == "'it\\'s \\\\'"


@pytest.mark.spark
def test_spark_finds_every_column_and_reads_every_text(spark: object) -> None:
    frame = spark.createDataFrame([tuple(range(len(NASTY)))], NASTY)
    for place, column in enumerate(NASTY):
        assert frame.selectExpr(f"{in_sql(column)} = {place}").first()[0], column
    for text in NASTY:
        assert frame.selectExpr(sql_text(text)).first()[0] == text
