"""Writes docs/recipe.md, the reference of all recipe keys, from the recipe's own models.

    .venv/bin/python scripts/recipe_reference.py > docs/recipe.md

What a key means is the text below its field: in `pipelines/headrace/recipe/*sections.py`, and for
features in the modules of `pipelines/headrace/features/`.
"""

import datetime
import inspect
import re
import sys
import types
import typing
from typing import Annotated, Any, Literal, Union

import annotated_types
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from recipe_examples import find_examples

from headrace.labels.kinds import KINDS
from headrace.recipe import Recipe
from headrace.recipe.describe import join_lines, list_sections, read_key_notes
from headrace.recipe.sections import Label
from headrace.recipe_section import Section

_INTRODUCTION = """# Recipe reference

Every key that a recipe may have, with its type, its default and what it does. A key that is not
listed is refused, with the nearest name. This page is generated: `scripts/recipe_reference.py`.

Each example is from a recipe that the reader accepts: one of `conf/`, or of
`scripts/recipe_examples.yaml` with its changes.

`${key}` in a value is another key of the recipe (`${lake}`), `${workdir}` the folder of `--workdir`
and `${env:NAME}` an environment variable. `--set KEY=VALUE` overrides a key by its dotted path,
for example `--set train.optimizer.learning_rate=0.01`.

YAML is read by the rules of YAML 1.2, and more strictly: only `true` and `false` are truth values,
so `no` and `on` are texts; so are numbers with a leading zero (00501) or to another base (0x1F,
0o17), and times (12:30, 2013-10-01). In `values` of a rule and in `options`, 1.50 stays what was
written.
"""
_PLAIN = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    type(None): "null",
    Any: "any value",
    datetime.date: "date",
}
_LIMITS = {
    annotated_types.Ge: ("ge", "≥"),
    annotated_types.Gt: ("gt", ">"),
    annotated_types.Le: ("le", "≤"),
    annotated_types.Lt: ("lt", "<"),
}


def main() -> None:
    sys.stdout.write(reference())


def reference() -> str:
    """The page."""
    parts, examples = [_INTRODUCTION], find_examples()
    for section in list_sections(Recipe):
        parts.append(f"## {_heading(section)}\n")
        parts.append(f"{join_lines(inspect.getdoc(section) or '', '<br>')}\n")
        parts += ["| key | type | default | example | |", "|---|---|---|---|---|"]
        notes = read_key_notes(section)
        for name, field in section.model_fields.items():
            said = join_lines(notes.get(name, ""), "<br>").replace("|", "\\|")
            shown = _type(field.annotation, field.metadata).replace("|", "\\|")
            if (section, name) not in examples:
                raise LookupError(
                    f"no recipe has the key {name} of {_heading(section)}: write one that has it "
                    "into scripts/recipe_examples.yaml"
                )
            example = examples[section, name].replace("|", "\\|")
            parts.append(f"| `{name}` | {shown} | {_default(field)} | `{example}` | {said} |")
        parts.append("")
        if section is Label:
            parts += _list_label_kinds()
    page = "\n".join(parts).rstrip() + "\n"
    return re.sub(r"\bdocs/([\w-]+)\.md\b", r"[\1](\1.md)", page)  # other pages


def _heading(section: type[Section]) -> str:
    """The section's name on the page."""
    return section.__name__.removesuffix("Section")


def _list_label_kinds() -> list[str]:
    """A line for each kind of label."""
    rows = [
        f"| `{kind.name}` | {kind.summary} | {', '.join(kind.validation_metrics)} |"
        for kind in KINDS.values()
    ]
    return ["| kind | the label is | metrics after every epoch |", "|---|---|---|", *rows, ""]


def _type(annotation: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        given = [m for item in arguments[1:] for m in getattr(item, "metadata", [item])]
        return _type(arguments[0], [*given, *metadata])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(argument, metadata) for argument in arguments)
    if origin is list:
        few = [m.min_length for m in metadata if isinstance(m, annotated_types.MinLen)]
        most = [m.max_length for m in metadata if isinstance(m, annotated_types.MaxLen)]
        count = f"{few[0]} " if few and few == most else ""
        return f"list of {count}{_type(arguments[0])}"
    if origin is dict:
        return f"{_type(arguments[0])} → {_type(arguments[1])}"
    if inspect.isclass(annotation) and issubclass(annotation, Section):
        return f"[{_heading(annotation)}](#{_heading(annotation).lower()})"
    if annotation in _PLAIN:
        return _PLAIN[annotation] + (_limits(metadata) if annotation in (int, float) else "")
    raise TypeError(f"no word for {annotation!r}")


def _limits(metadata: list[Any] | tuple[Any, ...]) -> str:
    said = [
        f" {sign} {getattr(item, attribute):g}"
        for item in metadata
        for kind, (attribute, sign) in _LIMITS.items()
        if isinstance(item, kind)
    ]
    return ",".join(said)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "**required**" if field.default_factory is None else "computed"
    if field.default is None:
        return ""
    if isinstance(field.default, Section):
        told = field.default.model_dump(exclude_unset=True)
        return f"`{told}`" if told else "its defaults"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`"


if __name__ == "__main__":
    main()
