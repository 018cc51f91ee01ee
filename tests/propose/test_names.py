"""Check that columns of any name get names that a recipe and Spark take."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.propose.names import (
    FeatureNames,
    derive_recipe_name,
    make_identifier,
    quote_sql_column,
    quote_sql_text,
)
from headrace.recipe.model_requirements import TAKEN_INPUTS
from headrace.recipe.sql_text import find_column_names
from tests.propose.tables import ODD_NAMES


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
    assert make_identifier(column) == name


@given(st.lists(st.text(min_size=1, max_size=12) | st.sampled_from(ODD_NAMES), unique=True))
def test_names_are_valid_and_each_is_given_once(columns: list[str]) -> None:
    names = FeatureNames(columns)
    given_names = [names.name_feature(column) for column in columns]
    parts = [names.name_feature(column, "hour") for column in columns]
    for name in (*given_names, *parts):
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
        assert name not in TAKEN_INPUTS
    everything = [name.lower() for name in (*given_names, *parts)]
    side_columns = [f"{name}{end}" for name in everything for end in ("_missing", "_sin", "_cos")]
    assert len({*everything, *side_columns}) == 4 * len(everything)
    # A derived column would hide a raw one of its name.
    assert not {*parts} & {*columns}
    for column, name in zip(columns, given_names, strict=True):
        assert name == column or name not in columns


def test_a_recipe_is_named_like_its_table() -> None:
    assert derive_recipe_name("var/lake/flights/") == "flights"
    assert derive_recipe_name("/data/Sales 2024.csv.gz") == "Sales_2024"
    assert derive_recipe_name("s3://bucket/lake/events/day=2024-01-01") == "events"
    assert derive_recipe_name("lake/clicks/*.csv") == "clicks"
    assert derive_recipe_name("/2024/") == "table_2024"
    assert derive_recipe_name("日本.csv") == "column"


def test_sql_names_the_column_and_the_text() -> None:
    assert quote_sql_column("arr_delay") == "arr_delay"
    assert quote_sql_column("a b") == "`a b`"
    assert quote_sql_column("Case") == "`Case`"
    assert find_column_names(quote_sql_column("a b")) == ["a b"]
    assert quote_sql_text("it's \\") == "'it\\'s \\\\'"


@pytest.mark.spark
def test_spark_finds_every_column_and_reads_every_text(spark: object) -> None:
    frame = spark.createDataFrame([tuple(range(len(ODD_NAMES)))], ODD_NAMES)
    for position, column in enumerate(ODD_NAMES):
        assert frame.selectExpr(f"{quote_sql_column(column)} = {position}").first()[0], column
    for text in ODD_NAMES:
        assert frame.selectExpr(quote_sql_text(text)).first()[0] == text
