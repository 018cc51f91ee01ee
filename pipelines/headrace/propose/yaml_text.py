"""Values as YAML text on one line, for recipes that are written with comments.

PyYAML's own writer keeps no comments. Whatever a column is called, what is written here reads back
as the same value (`recipe/parse.py`).
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from headrace.recipe.parse import parse_yaml

_PLAIN = re.compile(r"(?:[A-Za-z_/]|\.{1,2}/)[A-Za-z0-9_./-]*")
_VARIABLE = re.compile(r"\$\{[A-Za-z0-9_.]+\}[A-Za-z0-9_./-]*")
# Of a value in a comment, characters.
_SHOWN = 40


def scalar(value: str | float | bool | None) -> str:
    """A text, number, truth value or null as YAML; quoted where it would be read as another."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if _VARIABLE.fullmatch(value) or (_PLAIN.fullmatch(value) and parse_yaml(value) == value):
        return value
    quoted: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=2**31)
    return quoted.rstrip("\n")


def flow(value: Any) -> str:
    """Any plain value on one line: `{kind: range, min: 0}`, `[a, b]`."""
    if isinstance(value, Mapping):
        pairs = (f"{scalar(key)}: {_inside(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_inside(item) for item in value) + "]"
    return scalar(value)


def _inside(value: Any) -> str:
    """As `flow`, where braces of a variable would end the mapping around it."""
    if isinstance(value, str) and _VARIABLE.fullmatch(value):
        return f'"{value}"'
    return flow(value)


def shown(value: object) -> str:
    """A value in a comment or message: short, quoted if it is a text."""
    text = printable(str(value))
    text = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return f"'{text}'" if isinstance(value, str) else text


def printable(text: str) -> str:
    """On one line, whatever is in it."""
    return "".join(c if c.isprintable() else "�" for c in text)
