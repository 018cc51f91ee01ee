"""Hold the rules that act on raw rows before the transform, and apply them to Arrow columns.

A rule of the recipe acts in two ways on a row that breaks it: a value becomes missing, or the row
has no place in the data and gets no prediction. Whatever computes a transform applies its rules, so
that a model treats a row in a request as batch scoring does. Rules whose answer depends on other
rows, on a label, or on something that only Spark can compute, are about training alone and listed
as such.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from headrace.columns.values import ELEMENT_KINDS, RawKind, Values, read_column
from headrace.transform.condition import Condition
from headrace.transform.condition_arrays import find_rows


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FittedRule(_Frozen):
    """A rule that acts wherever the transform does."""

    name: str
    """As in the ledger."""
    action: Literal["null", "reject"]
    violated: Condition
    """True where a row breaks it; over raw columns, and those that only rules read."""
    column: str | None = None
    """Of `null`: the column whose value becomes missing. Of a list column each element is looked at
    by itself, under the name of the column that the condition reads."""
    section: dict[str, Any] = {}
    """The rule as the recipe has it, for Spark; empty where the rule is made of another."""


class LeftOutRule(_Frozen):
    """A rule that acts on the rows of training alone, and why."""

    name: str
    reason: str


def select_null_rules(rules: Sequence[FittedRule]) -> tuple[FittedRule, ...]:
    """Return the rules that make values missing."""
    return tuple(rule for rule in rules if rule.action == "null")


def select_rejecting_rules(rules: Sequence[FittedRule]) -> tuple[FittedRule, ...]:
    """Return the rules that leave rows without a prediction."""
    return tuple(rule for rule in rules if rule.action == "reject")


def apply_null_rules(
    columns: Mapping[str, Values], rules: Sequence[FittedRule]
) -> dict[str, Values]:
    """Return columns with what breaks a rule marked as missing.

    Args:
        columns: raw columns, as they were read; every rule sees them so.
        rules: of the transform; those that reject rows are passed over.
    """
    changed = dict(columns)
    for rule in select_null_rules(rules):
        name = str(rule.column)
        if name not in columns:
            continue
        violated = find_violations(rule, columns)
        changed[name] = _mark_missing(changed[name], changed[name].missing | violated)
    return changed


def find_violations(rule: FittedRule, columns: Mapping[str, Values]) -> np.ndarray:
    """Find what breaks a rule.

    Args:
        rule: of either action.
        columns: all that the rule reads, as they were read.

    Returns:
        bool (rows,); of a rule about the elements of a list column, (elements,).
    """
    target = columns.get(rule.column) if rule.column else None
    if target is not None and target.is_list:
        (source,) = rule.violated.list_columns()
        elements = target.elements
        return find_rows(rule.violated, {source: elements}, len(elements.missing))
    names = rule.violated.list_columns()
    return find_rows(rule.violated, columns, len(columns[names[0]].missing))


def find_nulled(
    batch: "pa.RecordBatch | pa.Table", raw: Mapping[str, RawKind], rules: Sequence[FittedRule]
) -> dict[str, np.ndarray]:
    """Find the values that rules make missing: column of one value per row -> bool (rows,).

    Args:
        batch: rows with their raw columns.
        raw: the kinds of these.
        rules: of the transform.
    """
    nulled: dict[str, np.ndarray] = {}
    for rule in select_null_rules(rules):
        name = str(rule.column)
        if name not in raw or raw[name] in ELEMENT_KINDS:
            continue
        columns = {c: read_column(batch[c], raw[c]) for c in rule.violated.list_columns()}
        violated = find_violations(rule, columns)
        nulled[name] = nulled[name] | violated if name in nulled else violated
    return nulled


def find_rejected(
    batch: "pa.RecordBatch | pa.Table", kinds: Mapping[str, RawKind], rules: Sequence[FittedRule]
) -> np.ndarray:
    """Find the rows that rules leave without a prediction.

    Args:
        batch: raw rows; rules that read a column that is not there are not checked.
        kinds: of raw columns, and of those that only rules read.
        rules: of the transform.

    Returns:
        bool (rows, rules that reject).
    """
    rejecting = select_rejecting_rules(rules)
    found = np.zeros((batch.num_rows, len(rejecting)), bool)
    names = {*batch.schema.names}
    for position, rule in enumerate(rejecting):
        needed = rule.violated.list_columns()
        if names.issuperset(needed):
            columns = {name: read_column(batch[name], kinds[name]) for name in needed}
            found[:, position] = find_violations(rule, columns)
    return found


def _mark_missing(values: Values, missing: np.ndarray) -> Values:
    """Return a column with more of it missing."""
    array = values.array
    if isinstance(array, np.ndarray):
        filler = np.nan if values.kind in ("real", "reals") else 0
        return replace(values, array=np.where(missing, filler, array), missing=missing)
    indices = array.indices if pa.types.is_dictionary(array.type) else None
    mask = pa.array(missing)
    if indices is not None:
        nulls = pa.nulls(len(indices), indices.type)
        indices = pc.if_else(mask, nulls, indices)
        array = pa.DictionaryArray.from_arrays(indices, array.dictionary)
    else:
        array = pc.if_else(mask, pa.nulls(len(array), array.type), array)
    return replace(values, array=array, missing=missing)
