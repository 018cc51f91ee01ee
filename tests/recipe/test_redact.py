"""Secrets never show: by key, and in URIs."""

import pytest

from headrace.errors import RecipeError
from headrace.recipe import build_recipe
from headrace.redaction import redact_recipe, redact_text, redact_value
from tests.tiny import tiny_tree


def test_redact_masks_secret_keys_and_uri_credentials() -> None:
    tree = {
        "uri": "postgresql://me:pw@db/x",
        "conf": {"spark.hadoop.fs.s3a.secret.key": "abc", "spark.hadoop.fs.s3a.access.key": "k"},
        "list": ["https://token@host/p", "s3://me:p@ss@host/p", 3],
        "password": None,
        "fs.azure.account.key.x": "abc",
        "classes": "kept",
    }
    assert redact_value(tree) == {
        "uri": "postgresql://***@db/x",
        "conf": {"spark.hadoop.fs.s3a.secret.key": "***", "spark.hadoop.fs.s3a.access.key": "***"},
        "list": ["https://***@host/p", "s3://***@host/p", 3],
        "password": None,
        "fs.azure.account.key.x": "***",
        "classes": "kept",
    }


def test_a_recipe_keeps_its_columns_whatever_they_are_called() -> None:
    tree = {
        "source": {
            "tables": {"t": {"columns": {"api_key": "integer"}, "options": {"password": "abc"}}},
            "joins": [{"columns": {"token": "height"}, "path": "s3://me:pw@lake/t"}],
        },
        "spark": {"conf": {"spark.hadoop.fs.s3a.secret.key": "abc"}},
    }
    assert redact_recipe(tree) == {
        "source": {
            "tables": {"t": {"columns": {"api_key": "integer"}, "options": {"password": "***"}}},
            "joins": [{"columns": {"token": "height"}, "path": "s3://***@lake/t"}],
        },
        "spark": {"conf": {"spark.hadoop.fs.s3a.secret.key": "***"}},
    }


def test_text_without_credentials_is_untouched() -> None:
    assert (
        redact_text("see s3://bucket/a@b and http://h:5000")
        == "see s3://bucket/a@b and http://h:5000"
    )


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
