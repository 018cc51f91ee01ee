"""Describe recipes as a JSON Schema, so that editors complete, explain and check them.

It accepts whatever the reader of recipes accepts as the values of single keys, and refuses unknown
keys and kinds as the reader does. What two keys together make impossible, and what only the lake
knows, is left to `headrace check`. Draft 7, which every editor's YAML support reads.
"""

import json
from pathlib import Path
from typing import Any

from headrace.recipe.describe import join_lines, list_sections, read_key_notes
from headrace.recipe.sections import Recipe

SCHEMA_FILE = "recipe.schema.json"
"""Name of the file that `headrace init` writes beside a recipe."""
_TITLE = "Headrace recipe"
_DRAFT = "http://json-schema.org/draft-07/schema#"
_REFERENCE: dict[str, Any] = {
    "type": "string",
    "pattern": r"\$\{[^${}]*\}",
    "patternErrorMessage": "neither a valid value nor a reference such as ${train.seed}",
    "description": "A reference: ${key} of this file, ${workdir}, or ${env:NAME}.",
}
_TEXT = {"type": "string"}
# Keywords that say nothing to an editor: pydantic's titles, our own marks.
_DROPPED = ("title", "later", "discriminator")
_LIMITS = ("enum", "const", "pattern", "format")


def build_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of recipes, as plain values."""
    tree = Recipe.model_json_schema()
    definitions = tree.pop("$defs")
    for section in list_sections(Recipe):
        described = tree if section is Recipe else definitions.get(section.__name__)
        if described is not None:
            _describe_keys(described, read_key_notes(section))
    schema = _translate(tree)
    return {
        "$schema": _DRAFT,
        "title": _TITLE,
        **schema,
        "definitions": {
            **{name: _translate(node) for name, node in sorted(definitions.items())},
            "Reference": _REFERENCE,
        },
    }


def format_json_schema() -> str:
    """Return the JSON Schema of recipes as the text of a file."""
    return json.dumps(build_json_schema(), indent=1, ensure_ascii=False) + "\n"


def is_own_schema(file: Path) -> bool:
    """Return whether a file is a schema that Headrace wrote, of any release."""
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(tree, dict) and tree.get("title") == _TITLE


def build_modeline(schema: str) -> str:
    """Return the comment by which the YAML support of editors finds a recipe's schema.

    Args:
        schema: path of the schema's file, relative to the recipe's folder.
    """
    return f"# yaml-language-server: $schema={schema}"


def _describe_keys(node: dict[str, Any], notes: dict[str, str]) -> None:
    """Add the text below each key to the schema of a section."""
    if "description" in node:
        node["description"] = join_lines(node["description"], "\n\n")
    for name, note in notes.items():
        if name in node["properties"]:
            node["properties"][name]["description"] = join_lines(note, "\n\n")


def _translate(node: Any, *, takes_reference: bool = True) -> Any:
    """Translate a part of pydantic's schema.

    Args:
        node: the part.
        takes_reference: whether a reference may stand in place of its value; False where what
            contains it says so already.
    """
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key not in _DROPPED}
    annotations = {key: kept.pop(key) for key in ("description", "default") if key in kept}
    if annotations.get("default", ...) is None:
        del annotations["default"]  # nothing that an editor could fill in
    if "discriminator" in node:
        del kept["oneOf"]
        return {**annotations, **kept, **_choose_by_kind(node["discriminator"])}
    if "$ref" in kept:
        # Beside `$ref`, draft 7 reads nothing.
        kept = {"$ref": kept["$ref"].replace("#/$defs/", "#/definitions/")}
        return {**annotations, "allOf": [kept]} if annotations else kept
    branches = kept.pop("oneOf", None) or kept.pop("anyOf", None)
    if branches:
        # Not oneOf: a reference may be of any of them.
        any_of = [_translate(branch, takes_reference=False) for branch in branches]
        if takes_reference and any(map(_is_limited, branches)) and _TEXT not in branches:
            any_of.append({"$ref": "#/definitions/Reference"})
        return {**annotations, **kept, "anyOf": any_of}
    if takes_reference and _is_limited(kept):
        return {**annotations, "anyOf": [kept, {"$ref": "#/definitions/Reference"}]}
    return {**annotations, **_translate_members(kept)}


def _translate_members(node: dict[str, Any]) -> dict[str, Any]:
    """Translate what lies in a list or a section."""
    translated = dict(node)
    for keyword in ("items", "additionalProperties"):
        if keyword in node:
            translated[keyword] = _translate(node[keyword])
    for keyword in ("properties", "patternProperties"):
        if keyword in node:
            translated[keyword] = {name: _translate(value) for name, value in node[keyword].items()}
    if "patternProperties" in node:
        translated["additionalProperties"] = False
    return translated


def _choose_by_kind(discriminator: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a section whose key `kind` says which one it is.

    Not a choice of all of them, of which editors would say no more than that none of them fits.
    """
    name, mapping = discriminator["propertyName"], discriminator["mapping"]
    conditions = [
        {
            "if": {"properties": {name: {"const": kind}}, "required": [name]},
            "then": {"$ref": target.replace("#/$defs/", "#/definitions/")},
        }
        for kind, target in mapping.items()
    ]
    kinds = {"anyOf": [{"enum": list(mapping)}, {"$ref": "#/definitions/Reference"}]}
    return {
        "type": "object",
        "properties": {name: kinds},
        "required": [name],
        "allOf": conditions,
    }


def _is_limited(node: Any) -> bool:
    """Return whether a value is one of which a reference would not be an example by itself."""
    if not isinstance(node, dict):
        return False
    is_scalar = node.get("type") in ("integer", "number", "boolean")
    return is_scalar or any(keyword in node for keyword in _LIMITS)
