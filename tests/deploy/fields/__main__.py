"""Convert a published schema to a tree of fields; see the package."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.fields import Tree


def build_tree(schema: dict[str, Any], definitions: dict[str, Any]) -> Tree:
    """Return the tree of an OpenAPI or JSON schema.

    Args:
        schema: of one value.
        definitions: what `#/definitions/NAME` refers to.
    """
    if "$ref" in schema:
        return build_tree(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for union in ("oneOf", "anyOf"):
        if union in schema and not schema.get("x-kubernetes-int-or-string"):
            return _build_union([build_tree(branch, definitions) for branch in schema[union]])
    if schema.get("x-kubernetes-int-or-string"):
        return "int-or-string"
    if "enum" in schema:
        return " ".join(["enum", *schema["enum"]])
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return _build_union([build_tree({**schema, "type": name}, definitions) for name in kind])
    if kind == "array":
        return [build_tree(schema.get("items", {}), definitions)]
    return _build_mapping(schema, definitions) if kind == "object" else kind


def _build_mapping(schema: dict[str, Any], definitions: dict[str, Any]) -> Tree:
    required = schema.get("required", ())
    fields = {
        f"{name}!" if name in required else name: build_tree(subschema, definitions)
        for name, subschema in schema.get("properties", {}).items()
    }
    for pattern, subschema in schema.get("patternProperties", {}).items():
        if not pattern.startswith("^x-"):
            fields["*"] = build_tree(subschema, definitions)
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        fields["*"] = build_tree(additional, definitions)
    return fields or "any"


def _build_union(trees: list[Tree]) -> Tree:
    distinct = [tree for i, tree in enumerate(trees) if tree not in trees[:i]]
    return distinct[0] if len(distinct) == 1 else {"|": distinct}


def main(path: str, source: str) -> None:
    """Print the tree of the schema in a file, as YAML."""
    schema = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    if schema.get("kind") == "CustomResourceDefinition":
        (version,) = (v for v in schema["spec"]["versions"] if v["served"])
        top = version["schema"]["openAPIV3Schema"]
        del top["properties"]["status"]  # no manifest has it
        tree = build_tree(top, {})
    else:
        tree = build_tree(schema, schema["definitions"])
    # YAML writes a shared subtree once, and refers to it elsewhere.
    subtrees: dict[str, Tree] = {}
    text = yaml.dump(
        {"source": source, "fields": _share_subtrees(tree, subtrees)}, sort_keys=False, width=1000
    )
    sys.stdout.write(re.sub(r"\bid0*(\d+)\b", r"f\1", text))


def _share_subtrees(tree: Tree, subtrees: dict[str, Tree]) -> Tree:
    if isinstance(tree, dict):
        tree = {name: _share_subtrees(subtree, subtrees) for name, subtree in tree.items()}
    elif isinstance(tree, list):
        tree = [_share_subtrees(subtree, subtrees) for subtree in tree]
    return subtrees.setdefault(json.dumps(tree), tree)


if __name__ == "__main__":
    main(*sys.argv[1:])
