"""Say what of a recipe differs from its defaults: as a recipe that can be run, and as parameters.

A resolved recipe has hundreds of keys, of which most are as Headrace chose them. What a run shows,
and two runs are compared by, are the others.
"""

import json
from collections.abc import Mapping
from typing import Any

from headrace.recipe.parse import dump_yaml
from headrace.recipe.sections import Recipe
from headrace.recipe_section import Section
from headrace.redaction import redact_recipe

# Sections of named columns, of which a kind has one parameter: there may be thousands.
_OF_COLUMNS = ("derive", "features")
# Sections that no stage of a run reads.
_OF_SCHEDULERS = ("schedule",)


def dump_changed(section: Section) -> dict[str, Any]:
    """Return the keys of a section that have no default, or another value, as plain YAML types.

    It is read as an equal section again.
    """
    plain = section.model_dump(mode="json")
    fields = type(section).model_fields
    return {
        name: _dump_value(getattr(section, name), plain[name])
        for name, field in fields.items()
        if field.is_required()
        or getattr(section, name) != field.get_default(call_default_factory=True)
    }


def _dump_value(value: Any, plain: Any) -> Any:
    """Return a value without the defaults of the sections in it; `plain` is it with all of them."""
    if isinstance(value, Section):
        return dump_changed(value)
    if isinstance(value, Mapping):
        return {key: _dump_value(item, plain[str(key)]) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_dump_value(item, of_item) for item, of_item in zip(value, plain, strict=True)]
    return plain


def format_recipe(recipe: Recipe) -> str:
    """Return what differs from the defaults as the text of a recipe's file.

    Variables stand for what they stood for, secrets are masked. It is read as an equal recipe,
    unless a secret was masked.
    """
    head = "# What differs from the defaults; variables and --set are applied, secrets are ***.\n"
    return head + dump_yaml(redact_recipe(dump_changed(recipe)), is_compact=True)


def list_parameters(recipe: Recipe) -> dict[str, Any]:
    """List what differs from the defaults as parameters of a run: nested values, by section.

    Features and derivations are listed by their kind: `features.vocabulary` is
    `carrier, dest (min_count 10)`. What a search tries is there also where it is the default.
    """
    changed = dump_changed(recipe)
    tree = {name: value for name, value in changed.items() if name not in _OF_SCHEDULERS}
    for section in _OF_COLUMNS:
        if section in tree:
            tree[section] = _group_by_kind(tree[section])
    resolved = recipe.dump_resolved()
    for key in recipe.tune.parameters:
        _copy_key(resolved, tree, key.split("."))
    return tree


def _group_by_kind(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    groups: dict[str, list[str]] = {}
    for name, settings in columns.items():
        others = ", ".join(
            f"{key} {value if isinstance(value, str) else json.dumps(value)}"
            for key, value in settings.items()
            if key != "kind"
        )
        groups.setdefault(settings["kind"], []).append(f"{name} ({others})" if others else name)
    return {kind: ", ".join(names) for kind, names in groups.items()}


def _copy_key(source: Any, target: dict[str, Any], keys: list[str]) -> None:
    """Copy the value at a dotted key, where it is one below sections alone."""
    for key in keys[:-1]:
        if not isinstance(source, dict) or key not in source:
            return
        source = source[key]
        inner = target.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        target = inner
    if isinstance(source, dict) and keys[-1] in source:
        target[keys[-1]] = source[keys[-1]]
