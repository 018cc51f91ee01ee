"""Golden rows: every rule is broken by one of them, and nothing else of it changes."""

from typing import Any

import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from headrace.recipe import sections as s
from headrace.train.golden_rows import add_rows_that_break_rules
from headrace.transform.fit_rules import RuleSource, fit_rules
from headrace.transform.rules import find_nulled, find_rejected
from headrace.transform.spec import RawColumn, TransformSpec
from headrace.transform.sql_condition import ConditionColumn

SQL = {"x": "double", "n": "bigint", "s": "string", "t": "timestamp", "d": "date", "f": "boolean"}
KINDS: dict[str, Any] = {
    "x": "real", "n": "integer", "s": "string", "t": "timestamp", "d": "timestamp", "f": "integer",
}  # fmt: skip
TIME = pa.timestamp("us", "UTC")
RAW = pa.table(
    {
        "x": pa.array([1.0, 2.0]), "n": pa.array([1, 2], pa.int64()), "s": ["a", "b"],
        "t": pa.array([10**15, 10**15], TIME), "d": pa.array([86_400_000_000] * 2, TIME),
        "f": pa.array([1, 0], pa.int64()),
    }
)  # fmt: skip


def fit(*sections: dict[str, Any]) -> TransformSpec:
    rules = [TypeAdapter(s.Rule).validate_python(section) for section in sections]
    columns = {name: ConditionColumn(KINDS[name], sql) for name, sql in SQL.items()}
    fitted, left_out = fit_rules(rules, RuleSource(columns, KINDS))
    assert not left_out
    raw = tuple(
        RawColumn(name=n, kind=k, nullable=True,
                  stored_as={"f": "boolean", "d": "date"}.get(n))  # type: ignore[arg-type]
        for n, k in KINDS.items()
    )  # fmt: skip
    return TransformSpec(raw=raw, derived=(), features=(), rules=fitted)


@pytest.mark.parametrize(
    "section",
    [
        {"kind": "range", "column": "x", "min": -60, "max": 60},
        {"kind": "range", "column": "n", "max": 2**53},
        {"kind": "in", "column": "s", "values": ["a", "b"]},
        {"kind": "in", "column": "f", "values": [True]},
        {"kind": "regex", "column": "s", "pattern": "^[a-z]{1,3}$"},
        {"kind": "range", "column": "t", "min": "1970-01-01"},
        {"kind": "in", "column": "d", "values": ["1970-01-02"]},
    ],
)
def test_each_rule_has_a_row_that_breaks_it(section: dict[str, Any]) -> None:
    for action in ("quarantine", "null"):
        spec = fit({**section, "on_violation": action})
        rows = add_rows_that_break_rules(RAW, spec)
        assert rows.num_rows == RAW.num_rows + 1
        assert rows.slice(0, RAW.num_rows) == RAW
        kinds = {column.name: column.kind for column in spec.raw}
        if action == "null":
            (broken,) = find_nulled(rows, kinds, spec.rules or ()).values()
        else:
            broken = find_rejected(rows, kinds, spec.rules or ())[:, 0]
        assert broken.tolist()[-1]
        changed = [n for n in rows.column_names if rows[n][-1] != RAW[n][0]]
        assert changed == [section["column"]]
        if section["column"] == "f":
            assert rows["f"][-1].as_py() in (0, 1)
        if section["column"] == "d":
            assert rows["d"][-1].as_py().hour == 0


def test_rules_over_several_columns_are_broken_too() -> None:
    spec = fit(
        {"kind": "not_null", "columns": ["x", "s"]},
        {"kind": "expr", "expression": "x < 5 or n > 3"},
        {"kind": "expr", "expression": "x = x or s = 'a'"},  # nothing breaks it but a null of both
    )
    rows = add_rows_that_break_rules(RAW, spec)
    broken = find_rejected(rows, KINDS, spec.rules or ())
    assert broken.any(axis=0).tolist() == [True, True, False]
