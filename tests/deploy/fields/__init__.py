"""Check documents against the fields of an API: trees of names and types.

A tree is a name or a structure:

    string, integer, number, boolean, any, int-or-string     a value of that type
    enum A B                                                  one of these
    {name: tree, other!: tree}                                fields; `!`: required
    {"*": tree}                                               any names
    [tree]                                                    a list
    {"|": [tree, tree]}                                       one or the other

The YAML files here are generated from published schemas, without descriptions and limits:

    python -m tests.deploy.fields SCHEMA SOURCE > tests/deploy/fields/NAME.yaml

SCHEMA is a CustomResourceDefinition (YAML) or a JSON schema, SOURCE says what it is and of which
version.
"""

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
Tree = Any

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "int-or-string": (int, str),
}


def load_fields(name: str) -> Tree:
    """Load the tree in `NAME.yaml`."""
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["fields"]


def find_violations(document: Any, tree: Tree, where: str = "") -> list[str]:
    """Return what an API does not know of a document, each with its path; [] if it knows all."""
    if isinstance(tree, str):
        return [] if _has_type(document, tree) else [f"{where}: {document!r} is no {tree}"]
    if isinstance(tree, list):
        if not isinstance(document, list):
            return [f"{where}: {document!r} is no list"]
        return [
            problem
            for index, item in enumerate(document)
            for problem in find_violations(item, tree[0], f"{where}[{index}]")
        ]
    if "|" in tree:
        by_branch = [find_violations(document, branch, where) for branch in tree["|"]]
        return min(by_branch, key=len)
    if not isinstance(document, dict):
        return [f"{where}: {document!r} is no mapping"]
    fields = {name.rstrip("!"): subtree for name, subtree in tree.items()}
    required = {name[:-1] for name in tree if name.endswith("!")}
    problems = [f"{where}.{name}: is missing" for name in sorted(required - set(document))]
    for name, value in document.items():
        subtree = fields.get(name, fields.get("*"))
        path = f"{where}.{name}".lstrip(".")
        if subtree is None:
            problems.append(f"{path}: there is no such field")
        else:
            problems += find_violations(value, subtree, path)
    return problems


def _has_type(value: Any, name: str) -> bool:
    if name == "any":
        return True
    if name.startswith("enum "):
        return value in name.split()[1:]
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
