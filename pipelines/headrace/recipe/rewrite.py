"""Write a recipe with other values to a file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.recipe.load import read_recipe_text
from headrace.recipe.overrides import apply_overrides
from headrace.recipe.parse import dump_yaml, parse_yaml


def format_overrides(values: Mapping[str, Any]) -> list[str]:
    """Return values of dotted keys as `--set` takes them."""
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]


def write_recipe(path: str, overrides: list[str], target: str) -> str:
    """Write the recipe at `path` with other values; variables stay as they are, comments do not.

    Args:
        path: of a recipe that is right with these overrides.
        overrides: `key.path=value`.
        target: the new file, which is written whole or not at all.

    Returns:
        its text.
    """
    tree = parse_yaml(read_recipe_text(path))
    apply_overrides(tree, overrides)
    text = dump_yaml(tree)
    file = Path(target)
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(file.name + ".aside")
    aside.write_text(text, encoding="utf-8")
    aside.rename(file)
    return text
