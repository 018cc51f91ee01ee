"""Compare a recipe with the one of a version: whether rows have to be processed by the new one."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from headrace.recipe import Recipe
from headrace.redaction import redact_recipe

ROWS_DEPEND_ON = ("source", "clean", "label", "split", "unavailable", "derive", "features")
"""Sections of a recipe that rows and their columns depend on."""
# They choose another snapshot of the same table, which is compared file by file.
_SNAPSHOT_KEY = re.compile(r"source\.tables\.[^.]+\.(metadata|(version|timestamp)_as_of)")


def find_changed_keys(before: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """Find the keys of sections that rows depend on, whose values differ."""
    now = redact_recipe(recipe.dump_resolved())
    try:  # with the defaults of keys that are newer than the version
        then = redact_recipe(Recipe.model_validate(before).dump_resolved())
    except ValidationError:
        return ["as a whole"]
    changed = [
        path
        for section in ROWS_DEPEND_ON
        for path in _find_differences(section, then[section], now[section])
    ]
    changed = [key for key in changed if not _SNAPSHOT_KEY.fullmatch(key)]
    return changed + _find_differences(
        "dataset.keep", then["dataset"]["keep"], now["dataset"]["keep"]
    )


def has_partition_condition(recipe: Mapping[str, Any]) -> bool:
    """Return whether the main table of a recipe that a version keeps has `partitions`."""
    source = recipe.get("source", {})
    return bool(source.get("tables", {}).get(source.get("main"), {}).get("partitions"))


def _find_differences(path: str, before: Any, now: Any) -> list[str]:
    """Return the paths of values that differ, the deepest ones."""
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*now, *(k for k in before if k not in now)]
        return [
            difference
            for key in keys
            for difference in _find_differences(f"{path}.{key}", before.get(key), now.get(key))
        ]
    return [path]
