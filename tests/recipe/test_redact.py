"""Errors of a recipe do not show its secrets."""

import pytest

from headrace.errors import RecipeError
from headrace.recipe import build_recipe
from tests.tiny import tiny_tree


def test_an_override_that_cannot_be_read_does_not_show_its_value() -> None:
    for override in ("spark.conf.x=%hunter2", "spark.conf.x hunter2", "spark.conf.x={hunter2"):
        with pytest.raises(RecipeError) as caught:
            build_recipe(tiny_tree(), source="t", environment={}, overrides=[override])
        assert "hunter2" not in str(caught.value)
        assert "--set spark.conf.x" in str(caught.value)


def test_an_error_does_not_show_a_secret_value() -> None:
    tree = tiny_tree()
    tree["tracking"] = {"token": "hunter2", "uri": 3}
    with pytest.raises(RecipeError) as caught:
        build_recipe(tree, source="t", environment={})
    assert "hunter2" not in str(caught.value)
    assert "tracking.token" in str(caught.value)
