"""Which fields an API knows: trees of names and types, and what a document has that they lack.

A tree is a name or a structure:

    string, integer, number, boolean, any, int-or-string     a value of that type
    enum A B                                                  one of these
    {name: tree, other!: tree}                                fields; `!`: it must be there
    {"*": tree}                                               any names
    [tree]                                                    a list
    {"|": [tree, tree]}                                       one or the other

The YAML files here were made from published schemas, descriptions and limits left out:

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


def fields_of(name: str) -> Tree:
    """The tree in `NAME.yaml`."""
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["fields"]


def violations(document: Any, tree: Tree, where: str = "") -> list[str]:
    """What of the document the API does not know, each with its path; [] where it knows all."""
    if isinstance(tree, str):
        return [] if _is(document, tree) else [f"{where}: {document!r} is no {tree}"]
    if isinstance(tree, list):
        if not isinstance(document, list):
            return [f"{where}: {document!r} is no list"]
        found = [violations(item, tree[0], f"{where}[{i}]") for i, item in enumerate(document)]
        return [problem for problems in found for problem in problems]
    if "|" in tree:
        found = [violations(document, other, where) for other in tree["|"]]
        return [] if [] in found else min(found, key=len)
    if not isinstance(document, dict):
        return [f"{where}: {document!r} is no mapping"]
    known = {name.rstrip("!"): below for name, below in tree.items()}
    needed = {name[:-1] for name in tree if name.endswith("!")}
    problems = [f"{where}.{name}: is missing" for name in sorted(needed - set(document))]
    for name, value in document.items():
        below = known.get(name, known.get("*"))
        path = f"{where}.{name}".lstrip(".")
        if below is None:
            problems.append(f"{path}: there is no such field")
        else:
            problems += violations(value, below, path)
    return problems


def _is(value: Any, name: str) -> bool:
    if name == "any":
        return True
    if name.startswith("enum "):
        return value in name.split()[1:]
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
