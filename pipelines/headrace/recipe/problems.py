"""Translate pydantic's errors into the terms of a recipe, with the nearest key."""

import difflib
import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from headrace.errors import Problem
from headrace.redaction import redact_value

_SCALARS = {"str", "int", "float", "bool"}


def translate_errors(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return every problem in `error`, which validating `model` raised, one per key."""
    problems: dict[str, Problem] = {}
    for item in error.errors(include_url=False):
        problem = _translate_error(dict(item), model)
        problems.setdefault(problem.where, problem)
    return list(problems.values())


def suggest_nearest(name: str, known: list[str]) -> str:
    """Return a remark on which of `known` was probably meant by `name`."""
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"


def _translate_error(item: dict[str, Any], model: type[BaseModel]) -> Problem:
    location = tuple(item["loc"])
    if location[-1] in _SCALARS:  # a union of scalars fails once a member
        item = {**item, "msg": "a text, a number, true or false"}
        location = location[:-1]
    path, parent = _walk_location(model, location)
    where = ".".join(path)
    kind, context = item["type"], item.get("ctx", {})
    shown = repr(redact_value(item["input"], path[-1] if path else ""))
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    if kind == "extra_forbidden":
        fields = sorted(parent.model_fields) if parent else []
        return Problem(
            where, f"unknown key, value {shown}", suggest_nearest(str(location[-1]), fields)
        )
    fixed = {"missing": "required key is missing", "union_tag_not_found": "has no `kind`"}
    if kind in fixed:
        return Problem(where, fixed[kind])
    if kind == "union_tag_invalid":
        tags = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        tag = context["tag"]
        return Problem(f"{where}.kind", f"unknown kind {tag!r}", suggest_nearest(tag, tags))
    if kind == "invalid_key" or location[-1] == "[key]":
        return Problem(where, f"got {shown}, expected a name of letters, digits and _")
    if kind == "literal_error":
        expected = [
            word.strip(" '") for word in context["expected"].replace(" or ", ",").split(",")
        ]
        return Problem(where, f"got {shown}", suggest_nearest(str(item["input"]), expected))
    message = item["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    message = message.replace("a valid dictionary or instance of", "a section such as")
    return Problem(where, f"got {shown}, expected {message}")


def _walk_location(
    model: type[BaseModel], location: tuple[Any, ...]
) -> tuple[list[str], type[BaseModel] | None]:
    """Return the key path without pydantic's union tags, and the model that holds the last key."""
    path: list[str] = []
    here: list[Any] = [model]
    parent: type[BaseModel] | None = None
    for part in location:
        models = [t for t in here if isinstance(t, type) and issubclass(t, BaseModel)]
        tagged = [m for m in models if _get_tag(m) == part]
        if len(models) > 1 and tagged:
            here = tagged
            continue
        if part == "[key]":
            continue
        path.append(str(part))
        parent = models[0] if models else None
        if parent is not None:
            field = parent.model_fields.get(str(part))
            here = _list_member_types(field.annotation) if field else []
        else:
            here = [m for t in here for m in _list_member_types(t, inside=True)]
    return path, parent


def _get_tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    tags = get_args(field.annotation) if field else ()
    return tags[0] if tags else None


def _list_member_types(annotation: Any, inside: bool = False) -> list[Any]:
    """Return the types an annotation may be; `inside`, those of its list items or dict values."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _list_member_types(get_args(annotation)[0], inside)
    if origin in (Union, types.UnionType):
        return [m for member in get_args(annotation) for m in _list_member_types(member, inside)]
    if inside and origin in (list, dict):
        return _list_member_types(get_args(annotation)[-1])
    return [annotation]
