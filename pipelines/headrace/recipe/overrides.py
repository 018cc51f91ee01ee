"""Apply `--set train.epochs=3`: keys of the recipe from the command line."""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from headrace.errors import Problem
from headrace.recipe.parse import parse_yaml

_KEY = re.compile(r'"([^"]+)"|([^".]+)')
_PATH = re.compile(r'("[^"]+"|[^".]+)(\.("[^"]+"|[^".]+))*')


def apply_overrides(tree: dict[str, Any], overrides: Sequence[str]) -> list[Problem]:
    """Set keys of `tree` in place.

    Args:
        tree: the recipe as plain YAML types.
        overrides: `dotted.key=value`, the value read as YAML (`3`, `0.1`, `[64, 32]`, `null`);
            a key that has a dot itself goes in quotes: `spark.conf."spark.ui.port"=4040`.

    Returns:
        the overrides that could not be applied. Whether the key exists in a recipe is left to
        validation, which knows the nearest right key.
    """
    problems = []
    for override in overrides:
        path, separator, text = override.partition("=")
        keys = _split_path(path)
        where = f"--set {path.split()[0] if path.split() else path}"  # a value may be secret
        if not separator or not _PATH.fullmatch(path.strip()):
            problems.append(Problem(where, "not of the form key.path=value"))
            continue
        try:
            value = parse_yaml(text, at=keys) if text.strip() else ""
        except yaml.YAMLError:
            problems.append(Problem(where, "the value is not YAML", "quote it"))
            continue
        problem = _set_key(tree, keys, value)
        if problem:
            problems.append(Problem(where, problem))
    return problems


def read_override_key(override: str) -> str:
    """Return the dotted key of `key.path=value`, without quotes."""
    return ".".join(_split_path(override.partition("=")[0]))


def _split_path(path: str) -> list[str]:
    return [quoted or plain for quoted, plain in _KEY.findall(path.strip())]


def _set_key(tree: dict[str, Any], keys: list[str], value: Any) -> str | None:
    node: Any = tree
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        here = ".".join(keys[:depth]) or "the recipe"
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                return f"{here} is a list of {len(node)}; {key!r} is no index of it"
            if last:
                node[int(key)] = value
            else:
                node = node[int(key)]
        elif isinstance(node, dict):
            if last:
                node[key] = value
            else:
                if node.get(key) is None:
                    node[key] = {}
                node = node[key]
        else:
            return f"{here} is a value, not a section"
    return None
