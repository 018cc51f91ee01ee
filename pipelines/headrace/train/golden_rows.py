"""Make the raw rows whose predictions are recorded with a model: some of the dataset's, and one
that breaks each rule."""

from collections.abc import Iterator
from itertools import islice, product
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.columns.values import ELEMENT_KINDS, RawKind, read_column
from headrace.transform.condition import Condition
from headrace.transform.rules import FittedRule, find_violations
from headrace.transform.spec import TransformSpec

_MAX_TRIED = 4096
_DAY = 86_400_000_000
_LARGEST = 2**63 - 1


def add_rows_that_break_rules(raw: pa.Table, spec: TransformSpec) -> pa.Table:
    """Return raw rows with one more for each rule, which breaks it.

    A rule whose columns the rows do not have, or that no tried value breaks, has no row.

    Args:
        raw: one row at least, with the columns of `spec.raw` in the types of their kinds.
        spec: has the rules.
    """
    kinds = {column.name: column.kind for column in spec.raw}
    stored_as = {column.name: column.stored_as for column in spec.raw}
    rows = [raw]
    for rule in spec.rules or ():
        names = (str(rule.column),) if rule.column else rule.violated.list_columns()
        if {*names} <= {*kinds}:
            values = [_list_values(rule, kinds[name], stored_as[name]) for name in names]
            if row := _find_breaking_row(raw, rule, dict(zip(names, values, strict=True)), kinds):
                rows.append(row)
    return pa.concat_tables(rows)


def _find_breaking_row(
    raw: pa.Table, rule: FittedRule, candidates: dict[str, list[Any]], kinds: dict[str, RawKind]
) -> pa.Table | None:
    """Return a row that breaks a rule: the first one, with other values in the rule's columns."""
    tried = list(islice(product(*candidates.values()), _MAX_TRIED))
    if not tried:
        return None
    values = {
        name: pa.array(column, raw.schema.field(name).type, from_pandas=False)
        for name, column in zip(candidates, zip(*tried, strict=True), strict=True)
    }
    columns = {name: read_column(array, kinds[name]) for name, array in values.items()}
    violated = find_violations(rule, columns)
    if rule.column and kinds[rule.column] in ELEMENT_KINDS:  # one element a row
        violated = violated[: len(tried)]
    found = np.flatnonzero(violated)
    if not len(found):
        return None
    row = raw.slice(0, 1)
    for name, array in values.items():
        position = row.schema.get_field_index(name)
        row = row.set_column(position, row.schema.field(name), array.slice(int(found[0]), 1))
    return row


def _list_values(rule: FittedRule, kind: RawKind, stored_as: str | None) -> list[Any]:
    """List values that may break a rule: around its literals, and those that are never wanted."""
    literals = list(_iterate_literals(rule.violated))
    element = ELEMENT_KINDS.get(kind, kind)
    if element == "bytes":
        return [None]
    values: list[Any] = []
    if element == "string":
        texts = [literal for literal in literals if isinstance(literal, str)]
        values = ["\x01", "", *(f"{text}\x01" for text in texts), *texts, "\x01" * 300]
    else:
        step = _DAY if element == "timestamp" else 1
        numbers = [0, *(n for n in literals if not isinstance(n, str))]
        values = [n + d for n in numbers for d in (step, -step, 0)]
        values += [-n for n in numbers] + [n * 2 for n in numbers] + [0.5]
        if element == "real":
            values = [float(n) for n in values]
        elif stored_as == "boolean":
            values = [0, 1]
        else:
            values = [int(n) for n in values if abs(n) <= _LARGEST]
        if stored_as == "date":
            values = [n // _DAY * _DAY for n in values]
    values = list(dict.fromkeys(values))
    return [[value] for value in values] if kind in ELEMENT_KINDS else [*values, None]


def _iterate_literals(condition: Condition) -> Iterator[Any]:
    if condition.op == "literal" and condition.value is not None:
        yield condition.value
    yield from condition.values[:8]
    for part in condition.args:
        yield from _iterate_literals(part)
