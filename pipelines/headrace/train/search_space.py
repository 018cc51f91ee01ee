"""List, draw and write the values that a search tries for keys of the recipe."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

from headrace.recipe import sections as s

MOST_LISTED = 10_000
"""Combinations of values up to which all are listed."""


def list_combinations(
    parameters: Mapping[str, s.SearchRange | s.Choices],
) -> list[dict[str, Any]] | None:
    """List all combinations of values; None where there are too many to list, or no end of them."""
    values: dict[str, list[Any]] = {}
    count = 1
    for key, tries in parameters.items():
        listed = _list_values(tries)
        count *= len(listed) if listed is not None else MOST_LISTED + 1
        if listed is None or count > MOST_LISTED:
            return None
        values[key] = listed
    return [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]


def _list_values(tries: s.SearchRange | s.Choices) -> list[Any] | None:
    if isinstance(tries, s.Choices):
        return list({json.dumps(choice): choice for choice in tries.choices}.values())
    if tries.log or not _is_integer(tries):
        return None
    numbers = range(int(tries.low), int(tries.high) + 1, int(tries.step or 1))
    return list(numbers) if len(numbers) <= MOST_LISTED else None


def _is_integer(tries: s.SearchRange) -> bool:
    return all(isinstance(n, int) for n in (tries.low, tries.high, tries.step or 1))


def write_key(values: Mapping[str, Any]) -> str:
    """Return values as a text by which equal ones are found."""
    return json.dumps(dict(sorted(values.items())))


def write_params(
    values: Mapping[str, Any], parameters: Mapping[str, s.SearchRange | s.Choices]
) -> dict[str, Any]:
    """Return values as Optuna has them: choices by number."""
    return {
        key: tries.choices.index(values[key]) if isinstance(tries, s.Choices) else values[key]
        for key, tries in parameters.items()
    }


def suggest_value(trial: Any, key: str, tries: s.SearchRange | s.Choices) -> Any:
    """Let the trial draw a value for a key, and record the value with the trial."""
    if isinstance(tries, s.Choices):
        # By number: Optuna takes plain values only, and a choice may be a list.
        number = trial.suggest_categorical(key, list(range(len(tries.choices))))
        value = tries.choices[number]
    elif _is_integer(tries):
        value = trial.suggest_int(key, tries.low, tries.high, step=tries.step or 1, log=tries.log)
    else:
        value = trial.suggest_float(key, tries.low, tries.high, step=tries.step, log=tries.log)
    trial.set_user_attr(key, value)
    return value
