"""Secrets are masked by key and in URIs, and columns are never taken for secrets."""

import pytest

from headrace.redaction import redact_recipe, redact_text, redact_value


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


@pytest.mark.parametrize(
    "key",
    ["token", "API_KEY", "accountKey", "private-key", "db.passwd", "pwd", "sas", "fs.sas.x"],
)
def test_a_key_that_names_a_secret_is_masked(key: str) -> None:
    assert redact_value({key: "hunter2"}) == {key: "***"}
    assert redact_value({key: ["hunter2", "other"]}) == {key: ["***", "***"]}
    assert redact_value({key: {"inner": "hunter2"}}) == {key: {"inner": "hunter2"}}


@pytest.mark.parametrize("key", ["key", "keys", "saskatoon", "monkey", "access", "epochs"])
def test_another_key_is_not(key: str) -> None:
    assert redact_value({key: "hunter2"}) == {key: "hunter2"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("failed at http://u:p@h and s3://k@b/x", "failed at http://***@h and s3://***@b/x"),
        ("postgresql+psycopg2://u:p@ss@h/db", "postgresql+psycopg2://***@h/db"),
        ("me@example.com", "me@example.com"),
        ("", ""),
    ],
)
def test_user_information_of_every_uri_is_masked(text: str, expected: str) -> None:
    assert redact_text(text) == expected


def test_values_that_are_no_text_stay() -> None:
    tree = {"a": 3, "b": None, "c": True, "d": [1.5, None], "token": None}
    assert redact_value(tree) == tree
