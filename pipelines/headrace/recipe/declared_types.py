"""Parse the types that a recipe declares for columns: a word, or a time and how it is written.

`date(MMM d yyyy)` is a date in texts such as Jun 12 1998, by the letters of Java's
DateTimeFormatter; `timestamp(seconds)` is a time in numbers, counted from 1970-01-01 UTC.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

PLAIN_TYPES = (
    "integer", "real", "string", "boolean", "timestamp", "date", "binary", "list[integer]",
    "list[real]", "list[string]",
)  # fmt: skip
"""The types that say nothing of how a value is written."""
EPOCH_UNITS = {
    "seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1, "nanoseconds": 0,
}  # fmt: skip
"""Unit of a number since 1970 -> microseconds of one; a nanosecond is less than one."""
_WRITTEN_TYPE = re.compile(r"(timestamp|date)\((.+)\)")
_LETTERS = frozenset("yMdHhmsSa")
_MAX_PATTERN = 40  # characters


@dataclass(frozen=True)
class TypeDeclaration:
    """A declared type, parsed.

    Attributes:
        word: one of `PLAIN_TYPES`.
        unit: one of `EPOCH_UNITS`, where numbers are read; else empty.
        pattern: of Java's DateTimeFormatter, where texts are read by one; else empty.
    """

    word: str
    unit: str = ""
    pattern: str = ""


def parse_declared_type(text: str) -> TypeDeclaration:
    """Return what a declared type says.

    Raises:
        ValueError: it is no type.
    """
    if text in PLAIN_TYPES:
        return TypeDeclaration(text)
    match = _WRITTEN_TYPE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no type")
    word, argument = match.groups()
    if argument in EPOCH_UNITS:
        return TypeDeclaration(word, unit=argument)
    letters = {c for c in re.sub(r"'[^']*'", "", argument) if c.isalpha()}
    if len(argument) > _MAX_PATTERN or not letters <= _LETTERS or "yy" not in argument:
        raise ValueError(
            f"{argument!r} is neither a unit ({', '.join(EPOCH_UNITS)}) nor a pattern with a "
            "year, such as MMM d yyyy or dd.MM.yyyy HH:mm"
        )
    return TypeDeclaration(word, pattern=argument)


def _check_declared_type(text: str) -> str:
    try:
        parse_declared_type(text)
    except ValueError as error:
        if "(" in text:
            raise
        expected = ", ".join(f"'{word}'" for word in PLAIN_TYPES)
        raise PydanticCustomError(
            "literal_error", "Input should be {expected}", {"expected": expected}
        ) from error
    return text


DeclaredType = Annotated[
    str,
    AfterValidator(_check_declared_type),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(PLAIN_TYPES)},
                {"type": "string", "pattern": rf"^{_WRITTEN_TYPE.pattern}$"},
            ]
        }
    ),
]
"""A type as a recipe declares it, checked."""
