"""Options of readers: each has its effect, or is refused."""

import pytest

from headrace.errors import RecipeError
from headrace.recipe import build_recipe
from tests.tiny import tiny_tree


def build_with(format_: str, options: dict[str, object]) -> None:
    tree = tiny_tree()
    tree["source"]["tables"]["visits"] |= {"format": format_, "options": options}
    build_recipe(tree, source="test", workdir="w", environment={})


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("parquet", {"mergeSchema": True, "pathGlobFilter": "*.parquet"}),
        ("csv", {"SEP": ";", "encoding": "cp1252", "multiline": True, "mode": "permissive"}),
        ("json", {"multiLine": True, "allowComments": True}),
        ("delta", {"ignoreDeletes": True, "anything": "goes"}),
    ],
)
def test_options_with_an_effect(format_: str, options: dict[str, object]) -> None:
    build_with(format_, options)


@pytest.mark.parametrize("format_", ["csv", "json"])
@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("timeZone", "America/New_York", "columns are read as texts; declare the type in source"),
        ("timestampFormat", "dd/MM/yyyy", "columns are read as texts"),
        ("DATEFORMAT", "dd/MM/yyyy", "columns are read as texts"),
        ("locale", "de", "columns are read as texts"),
        ("inferSchema", True, "columns are read as texts"),
        ("mode", "DROPMALFORMED", "lines that are no rows are counted and kept"),
        ("mode", "FAILFAST", "lines that are no rows are counted and kept"),
    ],
)
def test_options_without_an_effect_are_refused(
    format_: str, option: str, value: object, why: str
) -> None:
    with pytest.raises(RecipeError, match=rf"options\.{option}: has no effect: {why}"):
        build_with(format_, {option: value})


@pytest.mark.parametrize(
    ("format_", "option", "hint"),
    [
        ("csv", "seperator", "known: "), ("csv", "encodign", "did you mean encoding?"),
        ("json", "multiLines", "did you mean multiLine?"),
        ("parquet", "mergeschemas", "did you mean mergeSchema?"), ("orc", "header", "known: "),
    ],
)  # fmt: skip
def test_options_that_no_reader_has_are_refused(format_: str, option: str, hint: str) -> None:
    with pytest.raises(RecipeError, match="has no such option") as caught:
        build_with(format_, {option: "x"})
    assert hint in str(caught.value)
