"""Conditions give the same in Spark, NumPy and TensorFlow, over all kinds of rules."""

import datetime
import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from headrace.columns.values import MISSING_INTEGER, read_column
from headrace.recipe import sections as s
from headrace.source.condition_columns import list_condition_columns
from headrace.source.internal_columns import col
from headrace.source.raw_schema import RawSchema
from headrace.source.rule_conditions import build_condition
from headrace.transform.condition_arrays import find_rows
from headrace.transform.fit_rules import compile_rule
from headrace.transform.java_pattern import NoTranslationError

LONGS = [None, 0, 1, -1, 5, 6, 2**53, 2**53 + 1, 2**63 - 1, -(2**63) + 1, -(2**63), 3037000500]
REALS = [
    None, 0.0, -0.0, 1.0, 5.0, 5.5, -1e-300, 1e308, -1e308, float("nan"), float("inf"),
    float("-inf"), 0.1, 2.0**53,
]  # fmt: skip
TEXTS = [
    None, "", "a", "b", "ab", "AB12", "é", "e\u0301", "a\x00", "\x00", "a\n", "a\r\n", "\u2028",
    "x" * 5000, "9", "10", " a ", "😀", "a.b", "ſ", "K", "ß", "%", "a%b",
]  # fmt: skip
EPOCH = datetime.datetime(1970, 1, 1)
TIMES = [
    None, EPOCH, datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999),
    datetime.datetime(2013, 10, 1, 12, 30), datetime.datetime(2013, 10, 1),
    datetime.datetime(1969, 12, 31, 23, 59, 59, 999999), datetime.datetime(2000, 2, 29),
]  # fmt: skip
FLAGS = [None, True, False]

RULES: list[dict[str, Any]] = [
    {"kind": "not_null", "columns": ["a", "x"]},
    {"kind": "not_null", "columns": ["s"]},
    {"kind": "not_null", "columns": ["t", "f"]},
    {"kind": "range", "column": "a", "min": 0, "max": 5},
    {"kind": "range", "column": "a", "min": -0.5, "max": 5.5},
    {"kind": "range", "column": "a", "max": 2**53},
    {"kind": "range", "column": "a", "max": float(2**53)},
    {"kind": "range", "column": "a", "max": 2**63},
    {"kind": "range", "column": "x", "min": 0, "max": 5},
    {"kind": "range", "column": "x", "max": 0.1},
    {"kind": "range", "column": "s", "min": "a", "max": "b"},
    {"kind": "range", "column": "s", "min": "", "max": "e\u0301"},
    {"kind": "range", "column": "s", "max": "a\x00"},
    {"kind": "range", "column": "t", "min": "1970-01-01", "max": "2013-10-01 12:00"},
    {"kind": "range", "column": "t", "max": "2013"},
    {"kind": "range", "column": "d", "max": "2013-10-01 12:00"},
    {"kind": "range", "column": "d", "min": "1970-01"},
    {"kind": "in", "column": "a", "values": [1, 5, 2**53 + 1]},
    {"kind": "in", "column": "a", "values": list(range(100))},
    {"kind": "in", "column": "x", "values": [0, 0.1]},
    {"kind": "in", "column": "x", "values": [float(v) for v in range(80)]},
    {"kind": "in", "column": "s", "values": ["a", "é", ""]},
    {"kind": "in", "column": "s", "values": [f"v{i}" for i in range(90)] + ["ab", "a\x00", "😀"]},
    {"kind": "in", "column": "f", "values": [True]},
    {"kind": "in", "column": "d", "values": ["2013-10-01", "1970-01-01"]},
    {"kind": "in", "column": "t", "values": ["2013-10-01 12:30:00", "0001-01-01"]},
    *(
        {"kind": "regex", "column": "s", "pattern": pattern}
        for pattern in [
            "^[a-z]+$", "^.$", "a$", "^$", r"\d", r"^\w*$", "(?i)^[a-k]", r"^\s", "^[^a]*$",
            "(?s)^a.$", r"a\.b", r"^(a|b|)$", "x{100,}", r"\x00", "é|ß", r"^\p{Alnum}{2,4}$",
            r"[\]%-]", r"\Qa.b\E",
        ]
    ),
    *(
        {"kind": "expr", "expression": text}
        for text in [
            "a > 5.5", "a >= 5.5 or x < 1", "a <> 5", "a <= 9007199254740992.5", "a = 5.5",
            "5.5 < a", "a + b > 0", "a * b > 10", "a - b < 3", "a / b > 0.5", "-a < 0",
            "abs(a) > 5", "x > 5", "x <= 1e308", "x = 0.0", "x * 2e0 > 3", "x * x > 1e0",
            "x / x = 1e0", "x - x = 0e0", "x <=> 0.1", "a <=> 5", "a <=> b", "x is null",
            "s is null or a > 0",
            "not (a > 0 and x > 0)", "a > 0 or x > 0", "f", "not f", "f = true", "f is true",
            "f is not false", "f <=> (a > 0)", "a in (1, 5)", "a not in (1, 5)", "x in (0.1, 5e0)",
            "s in ('a', 'é')", "s = 'a'", "s < 'b'", "'b' <= s", "s <> s", "s = u",
            "s like 'a%'", "s like '_'", "s like '%\\\\%%'", "s rlike '^a'", "length(s) = 1",
            "length(s) > 100", "t >= '2013-10-01'", "t < timestamp '1970-01-01 00:00:00'",
            "t = t", "d between '1970-01-01' and '2013-10-01'", "d = date '2013-10-01'",
            "year(t) = 2013", "month(t) > 6", "hour(t) = 12", "dayofyear(t) > 200", "day(t) = 1",
            "second(t) = 59", "minute(t) = 30",
            "coalesce(a, 0) >= 0", "coalesce(x, a) > 1e0",
            "case when a > 0 then x else 1e0 end > 0.5",
            "case when a > 0 then true when x > 0 then false end", "if(f, a, b) > 0",
            "a between 0 and 5 and not s is null", "a > x", "x < a", "a = x", "b > -1.5",
        ]
    ),
]  # fmt: skip


def make_table() -> pa.Table:
    """Make rows that have every pair of hard values of neighbouring columns."""
    pairs = itertools.product(range(len(TEXTS)), range(14))
    rows = [(i, j) for i, j in pairs]
    columns = {
        "a": pa.array([LONGS[(i + j) % len(LONGS)] for i, j in rows], pa.int64()),
        "b": pa.array([LONGS[i % len(LONGS)] for i, j in rows], pa.int64()),
        "x": pa.array([REALS[j % len(REALS)] for i, j in rows], pa.float64()),
        "s": pa.array([TEXTS[i] for i, j in rows], pa.string()),
        "u": pa.array([TEXTS[(i + j // 3) % len(TEXTS)] for i, j in rows], pa.string()),
        "t": pa.array(
            [TIMES[(i * 3 + j) % len(TIMES)] for i, j in rows], pa.timestamp("us", "UTC")
        ),
        "d": pa.array([TIMES[(i + j) % len(TIMES)] for i, j in rows], pa.timestamp("us")).cast(
            pa.date32(), safe=False
        ),
        "f": pa.array([FLAGS[(i + j * 2) % 3] for i, j in rows], pa.bool_()),
    }  # fmt: skip
    return pa.table(columns)


@pytest.fixture(scope="module")
def computed(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the table, its columns, and which rows break each rule by Spark."""
    import pyarrow.parquet as pq

    table = make_table()
    path = str(tmp_path_factory.mktemp("rules") / "t.parquet")
    table = table.append_column("n", pa.array(range(table.num_rows)))
    pq.write_table(table, path)
    frame = spark.read.parquet(path)
    schema = RawSchema.from_frame(frame)
    rules = [TypeAdapter(s.Rule).validate_python(rule) for rule in RULES]
    violated = [
        build_condition(spark, i, rule, schema).violated.alias(f"r{i}")
        for i, rule in enumerate(rules)
    ]
    found = frame.select(col("n"), *violated).toArrow().sort_by("n")
    return table, list_condition_columns(schema), rules, found


def read_values(table: pa.Table, columns: Any) -> dict[str, Any]:
    return {
        name: read_column(table[name].cast(pa.int8()) if columns[name].sql == "boolean"
                          else table[name], columns[name].kind)
        for name in table.column_names
    }  # fmt: skip


def make_tensors(values: dict[str, Any]) -> dict[str, Any]:
    """Return the columns as the graph reads them from raw tensors."""
    import tensorflow as tf

    from headrace.features.tensors import Column

    tensors = {}
    for name, column in values.items():
        if column.kind == "string":
            texts, positions = column.encode_texts()
            array = np.array(texts.to_pylist(), object)[positions]
            array[column.missing] = ""
            tensor = tf.constant([text.encode() for text in array])
        elif column.kind == "real":
            null = column.missing & ~np.isinf(column.array)
            tensor = tf.constant(np.where(null, np.nan, column.array))
        else:
            tensor = tf.constant(np.where(column.missing, MISSING_INTEGER, column.array), tf.int64)
        tensors[name] = Column(column.kind, tensor, tf.constant(column.missing))
    return tensors


@pytest.mark.spark
def test_every_engine_finds_the_same_rows(computed: Any) -> None:
    from headrace.transform.graph_conditions import find_rows as find_in_tensors

    table, columns, rules, found = computed
    values = read_values(table, columns)
    tensors = make_tensors(values)
    shares = []
    for i, rule in enumerate(rules):
        condition = compile_rule(rule, columns)
        assert condition == type(condition).model_validate_json(condition.model_dump_json())
        by_spark = found[f"r{i}"].to_numpy()
        by_arrays = find_rows(condition, values, table.num_rows)
        by_tensors = find_in_tensors(condition, tensors).numpy()
        for name, other in (("NumPy", by_arrays), ("TensorFlow", by_tensors)):
            apart = np.flatnonzero(by_spark != other)
            row = table.slice(int(apart[0]), 1).to_pylist() if len(apart) else None
            assert not len(apart), (name, rule, len(apart), by_spark[apart[0]], row)
        shares.append(by_spark.mean())
    # A rule that nothing breaks, or everything, would show little.
    assert np.mean([0 < share < 1 for share in shares]) > 0.9


@pytest.mark.parametrize(
    "text",
    [
        "lower(s) = 'a'", "a % 2 = 0", "isnan(x)", "a =", "a = null", "rand() < 0.5", "s < u",
        "exists(select 1)", "a > 99999999999999999999", "cast(s as int) > 1", "a * 1.1 > 3",
        "s rlike '(?=a)'", "a", "1 = 1", "q > 1", "t > '2013-13-01'", "d > '2013-01-01 10:00'",
        "current_date() > d", "length(u || s) > 2", "a > 'x'", "array(a)[0] > 1",
    ],
)  # fmt: skip
def test_what_only_spark_can_compute_is_said(text: str) -> None:
    from headrace.transform.sql_condition import ConditionColumn, read_sql_condition

    kinds = {"a": "bigint", "x": "double", "s": "string", "u": "string", "d": "date"}
    raw = {"bigint": "integer", "double": "real", "string": "string", "date": "timestamp"}
    columns = {name: ConditionColumn(raw[sql], sql) for name, sql in kinds.items()}  # type: ignore[arg-type]
    columns["t"] = ConditionColumn("timestamp", "timestamp")
    with pytest.raises(NoTranslationError):
        read_sql_condition(text, columns)
