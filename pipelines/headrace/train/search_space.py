"""List, draw and write the values that a search tries for keys of the recipe."""

import itertools
import json
from collections.abc import Mapping
from decimal import Decimal
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
    if _is_integer(tries):
        numbers = range(int(tries.low), int(tries.high) + 1, int(tries.step or 1))
        return list(numbers) if len(numbers) <= MOST_LISTED else None
    if tries.step is None or (tries.high - tries.low) / tries.step > MOST_LISTED:
        return None
    # Counted in decimals, as Optuna does: in binary 0.1 + 2 * 0.1 is beyond 0.3.
    low, high, step = (Decimal(str(n)) for n in (tries.low, tries.high, tries.step))
    count = int((high - low) // step) + 1
    return [
        min(k * float(step) + float(low), float(low + (count - 1) * step)) for k in range(count)
    ]


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
        # By their texts: 1, 1.0 and True are equal in Python and three choices here.
        key: [*map(json.dumps, tries.choices)].index(json.dumps(values[key]))
        if isinstance(tries, s.Choices)
        else values[key]
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
