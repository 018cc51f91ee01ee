"""Read a condition of Spark SQL as a tree that every engine computes, where that is possible.

sqlglot parses; what is understood here is what gives the same in Spark, NumPy and TensorFlow:
columns of one value, literals, comparisons, AND, OR, NOT, IS NULL, IN, BETWEEN, LIKE, RLIKE, CASE,
IF, COALESCE, +, -, *, /, abs, length, and the parts of a time. Of everything else it is said that
only Spark can compute it. Types are those of Spark with ANSI semantics.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlglot
from sqlglot import expressions as e

from headrace.columns.values import RawKind
from headrace.transform.condition import (
    Condition,
    ValueType,
    join_conditions,
    make_among,
    make_condition,
    make_literal,
    negate_condition,
)
from headrace.transform.java_pattern import NoTranslationError, make_like, make_match
from headrace.transform.sql_comparison import (
    TypedNode,
    compare_values,
    convert_to_real,
    read_time_literal,
    refuse_sql,
)

_PARTS: Mapping[type[e.Expression], str] = {
    e.Year: "year", e.Month: "month", e.Day: "day", e.DayOfMonth: "day",
    e.DayOfYear: "day_of_year", e.Hour: "hour", e.Minute: "minute", e.Second: "second",
}  # fmt: skip
_COMPARISONS: Mapping[type[e.Expression], tuple[str, bool, bool]] = {
    e.EQ: ("equal", False, False), e.NEQ: ("equal", False, True), e.LT: ("less", False, False),
    e.LTE: ("less_or_equal", False, False), e.GT: ("less", True, False),
    e.GTE: ("less_or_equal", True, False),
}  # fmt: skip
_ARITHMETIC: Mapping[type[e.Expression], str] = {
    e.Add: "add",
    e.Sub: "subtract",
    e.Mul: "multiply",
    e.Div: "divide",
}


@dataclass(frozen=True)
class ConditionColumn:
    """A column that a condition may read.

    Attributes:
        kind: its kind, as `columns.values` reads it.
        sql: its type in Spark: `boolean`, `date`, `float`, `decimal(10,2)` and so on.
    """

    kind: RawKind
    sql: str


def read_sql_condition(text: str, columns: Mapping[str, ConditionColumn]) -> Condition:
    """Read a condition of Spark SQL.

    Args:
        text: the condition.
        columns: those that there are, of one value each.

    Raises:
        NoTranslationError: it is no condition, or a part of it is none that is understood here.
    """
    try:
        parsed = sqlglot.parse_one(text, read="spark")
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        raise NoTranslationError(f"it is not understood: {str(error).splitlines()[0]}") from None
    typed = _read(parsed, columns)
    if typed.node.type != "boolean":
        raise NoTranslationError("it is no condition")
    if not typed.node.list_columns():
        raise NoTranslationError("it reads no column")
    return typed.node


def _read(tree: Any, columns: Mapping[str, ConditionColumn]) -> TypedNode:
    if isinstance(tree, e.Paren):
        return _read(tree.this, columns)
    if isinstance(tree, e.Column):
        return _read_column(tree, columns)
    if isinstance(tree, e.Literal | e.Boolean | e.Null):
        return _read_literal(tree)
    for kind, reader in _READERS.items():
        if isinstance(tree, kind):
            return reader(tree, lambda part: _read(part, columns))
    raise refuse_sql(tree)


def _read_column(tree: e.Column, columns: Mapping[str, ConditionColumn]) -> TypedNode:
    if tree.table or tree.name not in columns:
        raise NoTranslationError(f"there is no column {tree.sql(dialect='spark')} of one value")
    column = columns[tree.name]
    if column.kind not in ("integer", "real", "string", "timestamp"):
        raise NoTranslationError(f"column {tree.name} has more than one value")
    node = Condition(op="column", type=column.kind, name=tree.name)
    if column.sql == "boolean":
        return TypedNode(
            negate_condition(make_condition("equal", node, make_literal(0, "integer")))
        )
    return TypedNode(node, column.sql if column.sql in ("date", "float") else "")


def _read_literal(tree: Any) -> TypedNode:
    if isinstance(tree, e.Null):
        raise refuse_sql(tree)
    if isinstance(tree, e.Boolean):
        return TypedNode(make_literal(bool(tree.this), "boolean"))
    if tree.is_string:
        return TypedNode(make_literal(tree.this, "string"), "text")
    text = str(tree.this)
    if re.fullmatch(r"[0-9]+", text):
        number = int(text)
        if number >= 2**63:
            raise refuse_sql(tree)
        return TypedNode(make_literal(number, "integer"), "", number)
    if re.fullmatch(r"[0-9]*\.[0-9]*", text):
        exact = Decimal(text)
        return TypedNode(make_literal(float(exact), "real"), "decimal", exact)
    if re.fullmatch(r"[0-9.]+[eE][-+]?[0-9]+", text):
        return TypedNode(make_literal(float(text), "real"), "", float(text))
    raise refuse_sql(tree)


_Reader = Callable[[Any], TypedNode]


def _require_boolean(tree: Any, read: _Reader) -> Condition:
    typed = read(tree)
    if typed.node.type != "boolean":
        raise refuse_sql(tree)
    return typed.node


def _read_and_or(tree: Any, read: _Reader) -> TypedNode:
    op = "and" if isinstance(tree, e.And) else "or"
    return TypedNode(
        make_condition(
            op,  # type: ignore[arg-type]
            _require_boolean(tree.left, read),
            _require_boolean(tree.right, read),
        )
    )


def _read_not(tree: e.Not, read: _Reader) -> TypedNode:
    return TypedNode(negate_condition(_require_boolean(tree.this, read)))


def _read_is(tree: e.Is, read: _Reader) -> TypedNode:
    node = read(tree.this).node
    if isinstance(tree.expression, e.Null):
        return TypedNode(make_condition("is_null", node))
    if isinstance(tree.expression, e.Boolean) and node.type == "boolean":
        wanted = node if tree.expression.this else negate_condition(node)
        return TypedNode(
            make_condition("and", negate_condition(make_condition("is_null", node)), wanted)
        )
    raise refuse_sql(tree)


def _read_comparison(tree: Any, read: _Reader) -> TypedNode:
    op, swapped, negated = next(v for k, v in _COMPARISONS.items() if type(tree) is k)
    left, right = read(tree.left), read(tree.right)
    node = (
        compare_values(op, right, left, tree) if swapped else compare_values(op, left, right, tree)
    )
    return TypedNode(negate_condition(node) if negated else node)


def _read_null_safe(tree: e.NullSafeEQ, read: _Reader) -> TypedNode:
    left, right = read(tree.left), read(tree.right)
    equal = compare_values("equal", left, right, tree)
    nulls = [make_condition("is_null", side.node) for side in (left, right)]
    no_null = join_conditions("and", [*map(negate_condition, nulls), equal])
    return TypedNode(make_condition("or", make_condition("and", *nulls), no_null))


def _read_cast(tree: e.Cast, read: _Reader) -> TypedNode:
    kind = tree.to.this
    typed = read(tree.this)
    if typed.sql == "text" and kind in (e.DataType.Type.DATE, *_TIMESTAMPS):
        is_date = kind == e.DataType.Type.DATE
        node = read_time_literal(typed, is_date, tree)
        return TypedNode(node, "date" if is_date else "")
    numbers = {e.DataType.Type.DOUBLE, e.DataType.Type.BIGINT}
    if kind in numbers and typed.number is not None and not isinstance(typed.number, Decimal):
        # 5L and 5D are casts of literals to sqlglot.
        if kind == e.DataType.Type.DOUBLE:
            return convert_to_real(typed)
        if isinstance(typed.number, int):
            return typed
    if kind == e.DataType.Type.DOUBLE and typed.number is not None:
        return TypedNode(make_literal(float(typed.number), "real"), "", float(typed.number))
    if kind == e.DataType.Type.DOUBLE and typed.node.type in ("integer", "real"):
        return convert_to_real(TypedNode(typed.node))
    raise refuse_sql(tree)


_TIMESTAMPS = (
    e.DataType.Type.TIMESTAMP, e.DataType.Type.TIMESTAMPTZ, e.DataType.Type.TIMESTAMPLTZ,
)  # fmt: skip


def _read_in(tree: e.In, read: _Reader) -> TypedNode:
    if not tree.expressions or tree.args.get("query") or tree.args.get("unnest"):
        raise refuse_sql(tree)
    value = read(tree.this)
    options = [read(option) for option in tree.expressions]
    plain = all(option.number is not None or option.sql == "text" for option in options)
    same = {option.node.type for option in options} == {value.node.type}
    if plain and same and value.node.type in ("integer", "real", "string"):
        return TypedNode(make_among(value.node, tuple(o.node.value for o in options)))  # type: ignore[misc]
    if len({option.node.type for option in options}) > 1:
        raise refuse_sql(tree)
    return TypedNode(
        join_conditions("or", [compare_values("equal", value, o, tree) for o in options])
    )


def _read_between(tree: e.Between, read: _Reader) -> TypedNode:
    value, low, high = (read(tree.this), read(tree.args["low"]), read(tree.args["high"]))
    if tree.args.get("symmetric"):
        raise refuse_sql(tree)
    return TypedNode(
        make_condition(
            "and",
            compare_values("less_or_equal", low, value, tree),
            compare_values("less_or_equal", value, high, tree),
        )
    )


def _read_pattern(tree: Any, read: _Reader) -> TypedNode:
    value, pattern = read(tree.this), read(tree.expression)
    if value.node.op != "column" or value.node.type != "string" or pattern.sql != "text":
        raise refuse_sql(tree)
    text = str(pattern.node.value)
    make = make_like if isinstance(tree, e.Like) else make_match
    return TypedNode(make(value.node, text))


def _read_arithmetic(tree: Any, read: _Reader) -> TypedNode:
    op = next(v for k, v in _ARITHMETIC.items() if type(tree) is k)
    left, right = read(tree.left), read(tree.right)
    if not {left.node.type, right.node.type} <= {"integer", "real"}:
        raise refuse_sql(tree)
    if "float" in (left.sql, right.sql):
        raise NoTranslationError(f"{tree.sql(dialect='spark')[:80]} has the precision of floats")
    sides = (left, right)
    if any(s.sql == "decimal" for s in sides) and not any(
        s.node.type == "real" and s.sql != "decimal" for s in sides
    ):
        raise NoTranslationError(f"{tree.sql(dialect='spark')[:80]} is computed in decimals")
    if op == "divide" or {left.node.type, right.node.type} != {"integer"}:
        nodes = (convert_to_real(left).node, convert_to_real(right).node)
        return TypedNode(Condition(op=op, type="real", args=nodes))  # type: ignore[arg-type]
    return TypedNode(Condition(op=op, type="integer", args=(left.node, right.node)))  # type: ignore[arg-type]


def _read_sign(tree: Any, read: _Reader) -> TypedNode:
    typed = read(tree.this)
    if typed.node.type not in ("integer", "real"):
        raise refuse_sql(tree)
    if typed.number is not None and isinstance(tree, e.Neg):
        return TypedNode(make_literal(-typed.node.value, typed.node.type), typed.sql, -typed.number)  # type: ignore[operator]
    op = "negate" if isinstance(tree, e.Neg) else "absolute"
    return TypedNode(Condition(op=op, type=typed.node.type, args=(typed.node,)), typed.sql)  # type: ignore[arg-type]


def _read_length(tree: e.Length, read: _Reader) -> TypedNode:
    node = read(tree.this).node
    if node.op != "column" or node.type != "string":
        raise refuse_sql(tree)
    return TypedNode(Condition(op="length", type="integer", args=(node,)))


def _read_part(tree: Any, read: _Reader) -> TypedNode:
    part = next(v for k, v in _PARTS.items() if isinstance(tree, k))
    inner = tree.this
    while isinstance(inner, e.TsOrDsToDate | e.TsOrDsToTimestamp):
        inner = inner.this
    node = read(inner).node
    if node.type != "timestamp":
        raise refuse_sql(tree)
    return TypedNode(Condition(op="time_part", type="integer", args=(node,), value=part))


def _unify(options: list[TypedNode], tree: Any) -> tuple[ValueType, list[Condition]]:
    """Return the type of several values, and the values in it."""
    types = {option.node.type for option in options}
    if any(option.sql in ("decimal", "float", "date") for option in options):
        raise refuse_sql(tree)
    if types == {"integer", "real"}:
        return "real", [convert_to_real(option).node for option in options]
    if len(types) != 1 or types & {"string", "timestamp"}:
        raise refuse_sql(tree)
    return types.pop(), [option.node for option in options]


def _read_coalesce(tree: e.Coalesce, read: _Reader) -> TypedNode:
    kind, nodes = _unify([read(tree.this), *map(read, tree.expressions)], tree)
    return TypedNode(Condition(op="coalesce", type=kind, args=tuple(nodes)))


def _read_if(tree: Any, read: _Reader) -> TypedNode:
    if isinstance(tree, e.If):
        branches, default = [(tree.this, tree.args["true"])], tree.args.get("false")
    else:
        branches = [(branch.this, branch.args["true"]) for branch in tree.args["ifs"]]
        default = tree.args.get("default")
        if tree.this is not None:
            raise refuse_sql(tree)
    values = [read(value) for _, value in branches]
    has_default = default is not None and not isinstance(default, e.Null)
    kind, nodes = _unify([*values, *([read(default)] if has_default else [])], tree)
    node = nodes.pop() if has_default else Condition(op="literal", type=kind)
    for (condition, _), value in reversed(list(zip(branches, nodes, strict=True))):
        chosen = _require_boolean(condition, read)
        node = Condition(op="if", type=kind, args=(chosen, value, node))
    return TypedNode(node)


_READERS: Mapping[type[e.Expression], Callable[[Any, _Reader], TypedNode]] = {
    e.And: _read_and_or,
    e.Or: _read_and_or,
    e.Not: _read_not,
    e.Is: _read_is,
    e.NullSafeEQ: _read_null_safe,
    **dict.fromkeys(_COMPARISONS, _read_comparison),
    e.In: _read_in,
    e.Between: _read_between,
    e.Like: _read_pattern,
    e.RegexpLike: _read_pattern,
    **dict.fromkeys(_ARITHMETIC, _read_arithmetic),
    e.Neg: _read_sign,
    e.Abs: _read_sign,
    e.Length: _read_length,
    **dict.fromkeys(_PARTS, _read_part),
    e.Coalesce: _read_coalesce,
    e.Cast: _read_cast,
    e.If: _read_if,
    e.Case: _read_if,
}
