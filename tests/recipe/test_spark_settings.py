"""Settings of Spark that rows depend on: what a recipe may say of them."""

import pytest

from headrace.errors import RecipeError
from headrace.recipe import build_recipe
from headrace.recipe.spark_settings import PINNED, find_unpinned
from tests.tiny import tiny_tree


def build_with(key: str, value: object) -> None:
    tree = tiny_tree()
    tree["spark"]["conf"][key] = value
    build_recipe(tree, source="test", environment={})


@pytest.mark.parametrize("key", sorted(PINNED))
def test_a_recipe_that_changes_what_rows_depend_on_is_refused(key: str) -> None:
    build_with(key, PINNED[key])
    with pytest.raises(RecipeError, match=f'spark.conf."{key}"') as caught:
        build_with(key, "something else")
    assert f"in every session of Headrace it is {PINNED[key]}" in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        "spark.sql.legacy.charVarcharAsString",
        "spark.sql.legacy.anything.that.comes",
        "spark.hadoop.mapreduce.input.pathFilter.class",
    ],
)
def test_what_is_not_to_be_set_is_refused(key: str) -> None:
    with pytest.raises(RecipeError, match="in every session of Headrace it is not set"):
        build_with(key, "true")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spark.sql.shuffle.partitions", 4),
        ("spark.sql.ansi.enabled", True),  # as it is
        ("spark.sql.session.timeZone", "utc"),
        ("spark.sql.legacy.parquet.nanosAsLong", True),
    ],
)
def test_other_settings_are_the_recipes(key: str, value: object) -> None:
    build_with(key, value)
    assert find_unpinned({key: value}) == {}
