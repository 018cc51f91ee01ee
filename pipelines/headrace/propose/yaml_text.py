"""Render values as YAML on one line, for recipes that are written with comments.

PyYAML's own writer keeps no comments. Whatever a column is called, the text that is rendered here
is read back (`recipe/parse.py`) as the same value.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from headrace.recipe.parse import parse_yaml

_PLAIN_PATTERN = re.compile(r"(?:[A-Za-z_/]|\.{1,2}/)[A-Za-z0-9_./-]*")
_VARIABLE_PATTERN = re.compile(r"\$\{[A-Za-z0-9_.]+\}[A-Za-z0-9_./-]*")
# Characters of a value in a comment.
_MAX_SHOWN = 40


def render_scalar(value: str | float | bool | None) -> str:
    """Return a text, number, truth value or null as YAML, quoted where it would be misread."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if _VARIABLE_PATTERN.fullmatch(value) or (
        _PLAIN_PATTERN.fullmatch(value)
        and parse_yaml(value) == value
        and yaml.safe_load(value) == value  # recipes are read by other tools as well
    ):
        return value
    quoted: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=2**31)
    return quoted.rstrip("\n")


def render_flow(value: Any) -> str:
    """Return any plain value as YAML on one line: `{kind: range, min: 0}`, `[a, b]`."""
    if isinstance(value, Mapping):
        pairs = (f"{render_scalar(key)}: {_render_nested(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_render_nested(item) for item in value) + "]"
    return render_scalar(value)


def render_key(key: str, value: Any, indent: int, width: int = 100) -> list[str]:
    """Return the lines of a key and its value: one, or several of a list that is too long."""
    line = f"{' ' * indent}{key}: {render_flow(value)}"
    if len(line) <= width or not isinstance(value, list | tuple):
        return [line]
    lines, current = [f"{' ' * indent}{key}: ["], " " * (indent + 2)
    for item in value:
        text = f"{_render_nested(item)},"
        if current.strip() and len(current) + len(text) > width:
            lines.append(current.rstrip())
            current = " " * (indent + 2)
        current += f"{text} "
    return [*lines, current.rstrip(), f"{' ' * indent}]"]


def _render_nested(value: Any) -> str:
    """Return the value as YAML within a mapping or list, which a variable's brace must not end."""
    if isinstance(value, str) and _VARIABLE_PATTERN.fullmatch(value):
        return f'"{value}"'
    return render_flow(value)


def describe_value(value: object) -> str:
    """Return a value for a comment or message: shortened, and quoted if it is a text."""
    text = make_printable(str(value))
    text = text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"
    return f"'{text}'" if isinstance(value, str) else text


def make_printable(text: str) -> str:
    """Return the text without line breaks and other unprintable characters."""
    return "".join(c if c.isprintable() else "�" for c in text)
