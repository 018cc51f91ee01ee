"""From a published schema to a tree of fields; see the package."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.fields import Tree


def tree_of(schema: dict[str, Any], definitions: dict[str, Any]) -> Tree:
    """The tree of an OpenAPI or JSON schema.

    Args:
        schema: of one value.
        definitions: what `#/definitions/NAME` refers to.
    """
    if "$ref" in schema:
        return tree_of(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for union in ("oneOf", "anyOf"):
        if union in schema and not schema.get("x-kubernetes-int-or-string"):
            return _one_of([tree_of(other, definitions) for other in schema[union]])
    if schema.get("x-kubernetes-int-or-string"):
        return "int-or-string"
    if "enum" in schema:
        return " ".join(["enum", *schema["enum"]])
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return _one_of([tree_of({**schema, "type": one}, definitions) for one in kind])
    if kind == "array":
        return [tree_of(schema.get("items", {}), definitions)]
    return _mapping(schema, definitions) if kind == "object" else kind


def _mapping(schema: dict[str, Any], definitions: dict[str, Any]) -> Tree:
    needed = schema.get("required", ())
    fields = {
        f"{name}!" if name in needed else name: tree_of(below, definitions)
        for name, below in schema.get("properties", {}).items()
    }
    for pattern, below in schema.get("patternProperties", {}).items():
        if not pattern.startswith("^x-"):
            fields["*"] = tree_of(below, definitions)
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        fields["*"] = tree_of(more, definitions)
    return fields or "any"


def _one_of(trees: list[Tree]) -> Tree:
    different = [tree for i, tree in enumerate(trees) if tree not in trees[:i]]
    return different[0] if len(different) == 1 else {"|": different}


def main(path: str, source: str) -> None:
    schema = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    if schema.get("kind") == "CustomResourceDefinition":
        (version,) = (v for v in schema["spec"]["versions"] if v["served"])
        top = version["schema"]["openAPIV3Schema"]
        del top["properties"]["status"]  # nobody writes it
        tree = tree_of(top, {})
    else:
        tree = tree_of(schema, schema["definitions"])
    # What comes twice is written once and referred to.
    known: dict[str, Tree] = {}
    text = yaml.dump(
        {"source": source, "fields": _shared(tree, known)}, sort_keys=False, width=1000
    )
    sys.stdout.write(re.sub(r"\bid0*(\d+)\b", r"f\1", text))


def _shared(tree: Tree, known: dict[str, Tree]) -> Tree:
    if isinstance(tree, dict):
        tree = {name: _shared(below, known) for name, below in tree.items()}
    elif isinstance(tree, list):
        tree = [_shared(below, known) for below in tree]
    return known.setdefault(json.dumps(tree), tree)


if __name__ == "__main__":
    main(*sys.argv[1:])
