"""Keys that choose an earlier version of a table: each has its effect, or is refused."""

from typing import Any

import pytest

from headrace.errors import RecipeError
from headrace.recipe import Recipe, build_recipe
from tests.tiny import tiny_tree


def build_with(keys: dict[str, Any]) -> Recipe:
    tree = tiny_tree()
    tree["source"]["tables"]["visits"] |= keys
    if "table" in keys:
        del tree["source"]["tables"]["visits"]["path"]
    return build_recipe(tree, source="test", workdir="w", environment={})


@pytest.mark.parametrize(
    "keys",
    [
        {"version_as_of": 0},
        {"version_as_of": 8_271_640_912_345_678_901, "format": "iceberg"},
        {"timestamp_as_of": "2026-03-01"},
        {"timestamp_as_of": "2026-03-01T06:00:00+05:00", "format": "delta"},
        {"metadata": "00003-ab.metadata.json", "timestamp_as_of": "2026-03-01"},
    ],
)
def test_versions(keys: dict[str, Any]) -> None:
    table = build_with(keys).source.tables["visits"]
    assert {key: getattr(table, key) for key in keys} == keys


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"version_as_of": -1}, "version_as_of"),
        ({"version_as_of": 1, "timestamp_as_of": "2026-03-01"}, "version_as_of is given too"),
        ({"version_as_of": 1, "format": "csv"}, "for Delta and Iceberg tables, got csv files"),
        ({"metadata": "v1.metadata.json", "format": "orc"}, "got orc files"),
        ({"version_as_of": 1, "table": "a.b"}, "got a table of a catalog"),
        ({"timestamp_as_of": "yesterday"}, "expected a time such as 2026-03-01T06:00:00Z"),
        (
            {"format": "delta", "options": {"VersionAsOf": 3}},
            "options.VersionAsOf: is a key of the table",
        ),
    ],
)
def test_versions_that_cannot_be(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message.replace(".", r"\.")):
        build_with(keys)
