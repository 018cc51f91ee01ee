"""Read what the recipe's sections say of themselves: which there are, and the text below each key.

The reference of all keys and the JSON Schema of recipes are made of it.
"""

import ast
import importlib
import inspect
import textwrap
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic.fields import FieldInfo

from headrace.recipe_section import Section


def list_sections(root: type[Section]) -> list[type[Section]]:
    """Return a section and every one below it, in the order in which a reader comes to them."""
    sections: list[type[Section]] = []

    def visit(section: type[Section]) -> None:
        if section in sections:
            return
        sections.append(section)
        for field in section.model_fields.values():
            for below in _find_sections(field.annotation):
                visit(below)

    visit(root)
    return sections


def read_key_notes(section: type[Section]) -> dict[str, str]:
    """Return the text below each key of a section, and of those that it inherits from."""
    notes: dict[str, str] = {}
    for parent in reversed(section.__mro__):
        if inspect.isclass(parent) and issubclass(parent, Section) and parent is not Section:
            notes |= _read_module_notes(parent.__module__).get(parent.__name__, {})
    return notes


def join_lines(text: str, separator: str) -> str:
    """Return a text with every paragraph on one line, and a separator between paragraphs."""
    blocks = textwrap.dedent(text).strip().split("\n\n")
    return separator.join(" ".join(block.split()) for block in blocks)


def _find_sections(annotation: Any) -> Iterator[type[Section]]:
    if inspect.isclass(annotation) and issubclass(annotation, Section):
        yield annotation
    for argument in typing.get_args(annotation):
        if not isinstance(argument, FieldInfo | str | int | float):
            yield from _find_sections(argument)


@cache
def _read_module_notes(module: str) -> dict[str, dict[str, str]]:
    """Return class -> key -> text below it, of a module's source."""
    notes: dict[str, dict[str, str]] = {}
    source = inspect.getsource(importlib.import_module(module))
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        own = notes.setdefault(node.name, {})
        for statement, following in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
                and isinstance(following.value.value, str)
            ):
                own[statement.target.id] = inspect.cleandoc(following.value.value)
    return notes
