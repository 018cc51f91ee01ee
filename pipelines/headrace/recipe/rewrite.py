"""Write a recipe with other values to a file."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.recipe.overrides import apply_overrides
from headrace.recipe.parse import dump_yaml, parse_yaml

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def format_overrides(values: Mapping[str, Any]) -> list[str]:
    """Return values of dotted keys as `--set` takes them."""
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]


def write_recipe(recipe: str, overrides: list[str], target: str) -> dict[str, Any]:
    """Write a recipe with other values; variables stay as they are, comments do not.

    The file is for this user alone: the values may have passwords, and it has to work with them.

    Args:
        recipe: the text of one that is right with these overrides.
        overrides: `key.path=value`.
        target: the new file, which is written whole or not at all.

    Returns:
        the recipe as it was written, variables unresolved.
    """
    tree = parse_yaml(recipe)
    apply_overrides(tree, overrides)
    text = dump_yaml(tree)
    file = Path(target)
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(file.name + ".aside")
    with os.fdopen(os.open(aside, _FLAGS, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    aside.rename(file)
    return tree
