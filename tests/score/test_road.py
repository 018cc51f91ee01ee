"""A recipe by which the model would read other values than in training is refused."""

import copy
from typing import Any

import pytest

from headrace.recipe import Recipe, build_recipe
from headrace.recipe.input_road import describe_road, find_road_differences
from tests.prepare.daily import TREE

COLUMNS = {"x": "real", "height": "real", "place": "string"}


def make_recipe(*overrides: str) -> Recipe:
    return build_recipe(
        copy.deepcopy(TREE), source="daily", overrides=overrides, workdir="w", environment={}
    )


def compare(*overrides: str, moved: tuple[str, ...] = ()) -> list[str]:
    before = describe_road(make_recipe(), COLUMNS)
    return find_road_differences(before, describe_road(make_recipe(*overrides), COLUMNS), moved)


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("source.joins.0.columns={height: w}", "joins.0.columns.height is w, it was height"),
        ("source.tables.places.where=height > 1", "tables.places.where is height > 1, it was not"),
        ("source.tables.places.path=/elsewhere", "tables.places.path is /elsewhere, it was "),
        ("source.tables.places.columns={height: integer}", "tables.places.columns.height is int"),
        ("source.tables.events.columns={x: integer}", "columns.x is integer, it was not there"),
        ("clean.rules.0.min=1", "rules.0.min is 1, it was 0"),
        ("clean.rules.0.on_violation='null'", "rules.0.on_violation is null, it was reject"),
        ("clean.rules=[]", "rules.0 is not there, it was {'on_violation': 'reject'"),
    ],
)  # fmt: skip
def test_what_changes_values_is_a_difference(override: str, difference: str) -> None:
    (found,) = compare(override)
    assert found.startswith(difference), found


@pytest.mark.parametrize(
    "override",
    [
        "source.tables.events.path=/another/table",
        "source.tables.events.where=x > 1",
        "source.tables.events.read_with=spark",
        "source.tables.events.columns={x: real, place: string, more: integer}",
        "source.tables.places.columns={width: integer}",
        "source.joins.0.on_change=keep",
        "clean.rules.0.on_violation=drop",
        "clean.rules.0.max_fraction=0.5",
        "clean.rules.0.name=positive",
        "clean.dedup.latest_by=null",
        "label.expression=y or false",
        "train.epochs=7",
        "features.event={kind: standardize}",
    ],
)
def test_what_changes_no_value_is_none(override: str) -> None:
    assert compare(override) == []


def test_rules_about_training_alone_are_no_difference() -> None:
    rules: list[Any] = [
        TREE["clean"]["rules"][0],
        {"kind": "unique", "columns": ["event"]},
        {"kind": "expr", "expression": "y or x > 1"},
    ]
    assert compare(f"clean.rules={rules}") == []


def test_a_joined_table_may_be_said_to_have_moved() -> None:
    assert compare("source.tables.places.path=/new", moved=("places",)) == []
    assert compare("source.tables.places.where=height > 0", moved=("places",)) != []


def test_a_join_that_the_model_does_not_read_is_none() -> None:
    extra = "{table: places, key: [place], columns: {width: width}}"
    first = "{table: places, key: [place], columns: {height: height}}"
    assert compare(f"source.joins=[{first}, {extra}]") == []
