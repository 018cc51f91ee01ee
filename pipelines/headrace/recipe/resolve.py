"""Resolve variables: `${env:NAME}`, `${env:NAME:-default}` and `${dotted.key}` of the recipe.

`${workdir}` is given by the caller. A reference may contain references; a circle is a problem, and
so is a name that does not exist. Nothing is executed. What references stand for is bounded, because
a few of them could stand for more than a memory holds.
"""

import re
from collections.abc import Mapping
from typing import Any

from headrace.errors import Problem

_REFERENCE = re.compile(r"\$\{([^${}]*)\}")
_MAX_LOOKUPS = 100_000
_MAX_DEPTH = 40
_MAX_CHARACTERS = 2**23


def resolve_references(
    tree: dict[str, Any], given: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[dict[str, Any], list[Problem]]:
    """Replace every reference in the strings of `tree`.

    Args:
        tree: the recipe as plain YAML types; not changed.
        given: variables of the caller, such as `workdir`; the recipe's own keys come first.
        environment: what `${env:NAME}` reads.

    Returns:
        the resolved copy, and the problems found; a string with a problem is left as it was.
    """
    problems: list[Problem] = []
    looked_up = written = 0

    def lookup(reference: str, where: str, open_: tuple[str, ...]) -> Any:
        nonlocal looked_up
        looked_up += 1
        if looked_up > _MAX_LOOKUPS or len(open_) > _MAX_DEPTH:
            raise _UnresolvedError("its references stand for too many others", "write it out")
        if reference.startswith("env:"):
            name, separator, default = reference[4:].partition(":-")
            if name in environment:
                return environment[name]
            if separator:
                return default
            raise _UnresolvedError(f"environment variable {name} is not set", f"export {name}=…")
        if reference in open_:
            circle = " -> ".join((*open_[open_.index(reference) :], reference))
            raise _UnresolvedError(f"references go round in a circle: {circle}", "break it")
        node: Any = tree
        for part in reference.split("."):
            if not isinstance(node, dict) or part not in node:
                node = None
                break
            node = node[part]
        if node is None:
            if reference in given:
                return given[reference]
            names = ", ".join(sorted([*given, *(k for k in tree if isinstance(tree[k], str))]))
            raise _UnresolvedError(
                f"${{{reference}}} names no key of the recipe", f"known: {names}"
            )
        if isinstance(node, dict | list):
            raise _UnresolvedError(
                f"${{{reference}}} is a section, not a value", "name a key in it"
            )
        return replace(node, where, (*open_, reference)) if isinstance(node, str) else node

    def replace(text: str, where: str, open_: tuple[str, ...]) -> Any:
        whole = _REFERENCE.fullmatch(text)
        if whole:  # keeps the type: ${train.seed} stays a number
            return lookup(whole[1], where, open_)
        nonlocal written
        replaced = _REFERENCE.sub(lambda match: str(lookup(match[1], where, open_)), text)
        written += len(replaced)
        if written > _MAX_CHARACTERS:
            raise _UnresolvedError("its references stand for too long a text", "write it out")
        return replaced

    def walk(node: Any, path: tuple[str, ...]) -> Any:
        if isinstance(node, dict):
            return {key: walk(value, (*path, str(key))) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value, (*path, str(index))) for index, value in enumerate(node)]
        if not isinstance(node, str):
            return node
        where = ".".join(path)
        try:
            return replace(node, where, (where,))
        except _UnresolvedError as unresolved:
            problems.append(Problem(where, unresolved.what, unresolved.fix))
            return node

    return walk(tree, ()), problems


class _UnresolvedError(Exception):
    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, fix
