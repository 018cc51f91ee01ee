"""Flatten nested values to the parameters of a run, no more than MLflow is quick with."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

# Parameters of a run at most. MLflow reads all that a run has at every request: 5,000 took 8 s and
# 10,000, of a table of 2,000 columns, 41 s. Nobody compares runs by that many.
_MOST_PARAMS = 2000


def choose_params(tree: Mapping[str, Any]) -> tuple[list[tuple[str, Any]], dict[str, int]]:
    """Choose the parameters of a tree that are logged.

    Returns:
        names and values, in the tree's order; and the sections that are left out, with how many
        parameters each has.
    """
    sections = {key: list(_flatten_params({key: value})) for key, value in tree.items()}
    left_out: dict[str, int] = {}
    total = sum(map(len, sections.values()))
    for section, params in sorted(sections.items(), key=lambda item: -len(item[1])):
        if total <= _MOST_PARAMS:
            break
        left_out[section] = len(params)
        total -= len(params)
    logged = (params for section, params in sections.items() if section not in left_out)
    return [param for params in logged for param in params], left_out


def _flatten_params(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested values by dotted key, as MLflow allows parameters to be named."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            # MLflow allows letters, digits and `_-./ ` in a parameter's name.
            safe = "".join(c if c.isalnum() or c in "_-./ " else "_" for c in str(key))
            yield from _flatten_params(value, f"{prefix}.{safe}" if prefix else safe)
    else:
        yield prefix, json.dumps(tree) if isinstance(tree, list | dict) else tree
