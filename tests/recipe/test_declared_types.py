"""Check the types that a recipe declares for columns."""

import pytest

from headrace.recipe.declared_types import PLAIN_TYPES, TypeDeclaration, parse_declared_type


@pytest.mark.parametrize(
    ("text", "declaration"),
    [
        *((word, TypeDeclaration(word)) for word in PLAIN_TYPES),
        ("timestamp(seconds)", TypeDeclaration("timestamp", unit="seconds")),
        ("date(MMM d yyyy)", TypeDeclaration("date", pattern="MMM d yyyy")),
        (
            "timestamp(yyyy-MM-dd'T'HH:mm)",
            TypeDeclaration("timestamp", pattern="yyyy-MM-dd'T'HH:mm"),
        ),
    ],
)
def test_words_units_and_patterns(text: str, declaration: TypeDeclaration) -> None:
    assert parse_declared_type(text) == declaration


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int", "is no type"),
        ("integer(seconds)", "is no type"),
        ("timestamp(days)", "neither a unit .seconds, milliseconds"),
        ("date(MMM d)", "a pattern with a year"),
        ("date(yyyy-QQ)", "a pattern with a year"),
        ("date()", "is no type"),
    ],
)
def test_others_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_declared_type(text)
