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
from headrace.recipe.times import parse_time_to_micros
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

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?")
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
_DAY = 86_400_000_000


@dataclass(frozen=True)
class ConditionColumn:
    """A column that a condition may read.

    Attributes:
        kind: its kind, as `columns.values` reads it.
        sql: its type in Spark: `boolean`, `date`, `float`, `decimal(10,2)` and so on.
    """

    kind: RawKind
    sql: str


@dataclass(frozen=True)
class _Typed:
    """A node, and what its type is in Spark where that is more than the node's type.

    Attributes:
        node: the node.
        sql: `decimal` (of a literal), `date`, `text` (of a literal), `boolean`, `float`, or "".
        number: of a literal.
    """

    node: Condition
    sql: str = ""
    number: Decimal | int | float | None = None


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


def _read(tree: Any, columns: Mapping[str, ConditionColumn]) -> _Typed:
    if isinstance(tree, e.Paren):
        return _read(tree.this, columns)
    if isinstance(tree, e.Column):
        return _read_column(tree, columns)
    if isinstance(tree, e.Literal | e.Boolean | e.Null):
        return _read_literal(tree)
    for kind, reader in _READERS.items():
        if isinstance(tree, kind):
            return reader(tree, lambda part: _read(part, columns))
    raise _refuse(tree)


def _refuse(tree: Any) -> NoTranslationError:
    text = tree.sql(dialect="spark") if isinstance(tree, e.Expression) else str(tree)
    return NoTranslationError(f"only Spark can compute {text[:80]}")


def _read_column(tree: e.Column, columns: Mapping[str, ConditionColumn]) -> _Typed:
    if tree.table or tree.name not in columns:
        raise NoTranslationError(f"there is no column {tree.sql(dialect='spark')} of one value")
    column = columns[tree.name]
    if column.kind not in ("integer", "real", "string", "timestamp"):
        raise NoTranslationError(f"column {tree.name} has more than one value")
    node = Condition(op="column", type=column.kind, name=tree.name)
    if column.sql == "boolean":
        return _Typed(negate_condition(make_condition("equal", node, make_literal(0, "integer"))))
    return _Typed(node, column.sql if column.sql in ("date", "float") else "")


def _read_literal(tree: Any) -> _Typed:
    if isinstance(tree, e.Null):
        raise _refuse(tree)
    if isinstance(tree, e.Boolean):
        return _Typed(make_literal(bool(tree.this), "boolean"))
    if tree.is_string:
        return _Typed(make_literal(tree.this, "string"), "text")
    text = str(tree.this)
    if re.fullmatch(r"[0-9]+", text):
        number = int(text)
        if number >= 2**63:
            raise _refuse(tree)
        return _Typed(make_literal(number, "integer"), "", number)
    if re.fullmatch(r"[0-9]*\.[0-9]*", text):
        exact = Decimal(text)
        return _Typed(make_literal(float(exact), "real"), "decimal", exact)
    if re.fullmatch(r"[0-9.]+[eE][-+]?[0-9]+", text):
        return _Typed(make_literal(float(text), "real"), "", float(text))
    raise _refuse(tree)


_Reader = Callable[[Any], _Typed]


def _require_boolean(tree: Any, read: _Reader) -> Condition:
    typed = read(tree)
    if typed.node.type != "boolean":
        raise _refuse(tree)
    return typed.node


def _read_and_or(tree: Any, read: _Reader) -> _Typed:
    op = "and" if isinstance(tree, e.And) else "or"
    return _Typed(
        make_condition(
            op,  # type: ignore[arg-type]
            _require_boolean(tree.left, read),
            _require_boolean(tree.right, read),
        )
    )


def _read_not(tree: e.Not, read: _Reader) -> _Typed:
    return _Typed(negate_condition(_require_boolean(tree.this, read)))


def _read_is(tree: e.Is, read: _Reader) -> _Typed:
    node = read(tree.this).node
    if isinstance(tree.expression, e.Null):
        return _Typed(make_condition("is_null", node))
    if isinstance(tree.expression, e.Boolean) and node.type == "boolean":
        wanted = node if tree.expression.this else negate_condition(node)
        return _Typed(
            make_condition("and", negate_condition(make_condition("is_null", node)), wanted)
        )
    raise _refuse(tree)


def _read_comparison(tree: Any, read: _Reader) -> _Typed:
    op, swapped, negated = next(v for k, v in _COMPARISONS.items() if type(tree) is k)
    left, right = read(tree.left), read(tree.right)
    node = _compare(op, right, left, tree) if swapped else _compare(op, left, right, tree)
    return _Typed(negate_condition(node) if negated else node)


def _read_null_safe(tree: e.NullSafeEQ, read: _Reader) -> _Typed:
    left, right = read(tree.left), read(tree.right)
    equal = _compare("equal", left, right, tree)
    nulls = [make_condition("is_null", side.node) for side in (left, right)]
    no_null = join_conditions("and", [*map(negate_condition, nulls), equal])
    return _Typed(make_condition("or", make_condition("and", *nulls), no_null))


def _compare(op: Any, left: _Typed, right: _Typed, tree: Any) -> Condition:
    """Compare two values as Spark does, of the narrowest type that has both."""
    types = {left.node.type, right.node.type}
    if len(types) == 1 and types <= {"integer", "real", "timestamp", "boolean"}:
        if "decimal" in (left.sql, right.sql) and "float" in (left.sql, right.sql):
            pass  # both are doubles in Spark
        if types == {"boolean"}:
            if op != "equal":
                raise _refuse(tree)
            same = [
                make_condition("and", left.node, right.node),
                make_condition("and", negate_condition(left.node), negate_condition(right.node)),
            ]
            return make_condition("or", *same)
        return make_condition(op, left.node, right.node)
    if types == {"string"}:
        literals = [side.sql == "text" for side in (left, right)]
        if all(literals) or (op != "equal" and not any(literals)):
            raise _refuse(tree)
        return make_condition(op, left.node, right.node)
    if types == {"integer", "real"}:
        return _compare_numbers(op, left, right)
    if types == {"timestamp", "string"}:
        time, text = (left, right) if left.node.type == "timestamp" else (right, left)
        moment = _read_time(text, time.sql == "date", tree)
        sides = [time.node, moment] if time is left else [moment, time.node]
        return make_condition(op, *sides)
    raise _refuse(tree)


def _compare_numbers(op: Any, left: _Typed, right: _Typed) -> Condition:
    """Compare a whole number with a real one: exactly where that is a decimal literal."""
    whole, real = (left, right) if left.node.type == "integer" else (right, left)
    if real.sql == "decimal" and isinstance(real.number, Decimal) and whole.number is None:
        exact = real.number
        floor = int(exact // 1)
        if exact == floor:
            limit = make_literal(floor, "integer")
        elif op == "equal":  # null stays null
            return make_condition("less", whole.node, whole.node)
        else:  # between two whole numbers: x < 5.5 is x <= 5, and 5.5 < x is 6 <= x
            limit = make_literal(floor if whole is left else floor + 1, "integer")
            op = "less_or_equal"
        sides = (whole.node, limit) if whole is left else (limit, whole.node)
        return make_condition(op, *sides)
    as_real = _to_real(whole).node
    return make_condition(op, *((as_real, real.node) if whole is left else (real.node, as_real)))


def _to_real(typed: _Typed) -> _Typed:
    if typed.node.type == "real":
        return typed
    if typed.number is not None:
        return _Typed(make_literal(float(typed.number), "real"), "", float(typed.number))
    return _Typed(Condition(op="to_real", type="real", args=(typed.node,)))


def _read_time(text: _Typed, is_date: bool, tree: Any) -> Condition:
    literal = str(text.node.value)
    if text.sql != "text" or not (_DATE if is_date else _TIME).fullmatch(literal.strip()):
        raise _refuse(tree)
    try:
        return make_literal(parse_time_to_micros(literal.strip()), "timestamp")
    except ValueError:
        raise _refuse(tree) from None


def _read_cast(tree: e.Cast, read: _Reader) -> _Typed:
    kind = tree.to.this
    typed = read(tree.this)
    if typed.sql == "text" and kind in (e.DataType.Type.DATE, *_TIMESTAMPS):
        is_date = kind == e.DataType.Type.DATE
        node = _read_time(typed, is_date, tree)
        return _Typed(node, "date" if is_date else "")
    numbers = {e.DataType.Type.DOUBLE, e.DataType.Type.BIGINT}
    if kind in numbers and typed.number is not None and not isinstance(typed.number, Decimal):
        # 5L and 5D are casts of literals to sqlglot.
        if kind == e.DataType.Type.DOUBLE:
            return _to_real(typed)
        if isinstance(typed.number, int):
            return typed
    if kind == e.DataType.Type.DOUBLE and typed.number is not None:
        return _Typed(make_literal(float(typed.number), "real"), "", float(typed.number))
    if kind == e.DataType.Type.DOUBLE and typed.node.type in ("integer", "real"):
        return _to_real(_Typed(typed.node))
    raise _refuse(tree)


_TIMESTAMPS = (
    e.DataType.Type.TIMESTAMP, e.DataType.Type.TIMESTAMPTZ, e.DataType.Type.TIMESTAMPLTZ,
)  # fmt: skip


def _read_in(tree: e.In, read: _Reader) -> _Typed:
    if not tree.expressions or tree.args.get("query") or tree.args.get("unnest"):
        raise _refuse(tree)
    value = read(tree.this)
    options = [read(option) for option in tree.expressions]
    plain = all(option.number is not None or option.sql == "text" for option in options)
    same = {option.node.type for option in options} == {value.node.type}
    if plain and same and value.node.type in ("integer", "real", "string"):
        return _Typed(make_among(value.node, tuple(o.node.value for o in options)))  # type: ignore[misc]
    if len({option.node.type for option in options}) > 1:
        raise _refuse(tree)
    return _Typed(join_conditions("or", [_compare("equal", value, o, tree) for o in options]))


def _read_between(tree: e.Between, read: _Reader) -> _Typed:
    value, low, high = (read(tree.this), read(tree.args["low"]), read(tree.args["high"]))
    if tree.args.get("symmetric"):
        raise _refuse(tree)
    return _Typed(
        make_condition(
            "and",
            _compare("less_or_equal", low, value, tree),
            _compare("less_or_equal", value, high, tree),
        )
    )


def _read_pattern(tree: Any, read: _Reader) -> _Typed:
    value, pattern = read(tree.this), read(tree.expression)
    if value.node.op != "column" or value.node.type != "string" or pattern.sql != "text":
        raise _refuse(tree)
    text = str(pattern.node.value)
    make = make_like if isinstance(tree, e.Like) else make_match
    return _Typed(make(value.node, text))


def _read_arithmetic(tree: Any, read: _Reader) -> _Typed:
    op = next(v for k, v in _ARITHMETIC.items() if type(tree) is k)
    left, right = read(tree.left), read(tree.right)
    if not {left.node.type, right.node.type} <= {"integer", "real"}:
        raise _refuse(tree)
    if "float" in (left.sql, right.sql):
        raise NoTranslationError(f"{tree.sql(dialect='spark')[:80]} has the precision of floats")
    sides = (left, right)
    if any(s.sql == "decimal" for s in sides) and not any(
        s.node.type == "real" and s.sql != "decimal" for s in sides
    ):
        raise NoTranslationError(f"{tree.sql(dialect='spark')[:80]} is computed in decimals")
    if op == "divide" or {left.node.type, right.node.type} != {"integer"}:
        nodes = (_to_real(left).node, _to_real(right).node)
        return _Typed(Condition(op=op, type="real", args=nodes))  # type: ignore[arg-type]
    return _Typed(Condition(op=op, type="integer", args=(left.node, right.node)))  # type: ignore[arg-type]


def _read_sign(tree: Any, read: _Reader) -> _Typed:
    typed = read(tree.this)
    if typed.node.type not in ("integer", "real"):
        raise _refuse(tree)
    if typed.number is not None and isinstance(tree, e.Neg):
        return _Typed(make_literal(-typed.node.value, typed.node.type), typed.sql, -typed.number)  # type: ignore[operator]
    op = "negate" if isinstance(tree, e.Neg) else "absolute"
    return _Typed(Condition(op=op, type=typed.node.type, args=(typed.node,)), typed.sql)  # type: ignore[arg-type]


def _read_length(tree: e.Length, read: _Reader) -> _Typed:
    node = read(tree.this).node
    if node.op != "column" or node.type != "string":
        raise _refuse(tree)
    return _Typed(Condition(op="length", type="integer", args=(node,)))


def _read_part(tree: Any, read: _Reader) -> _Typed:
    part = next(v for k, v in _PARTS.items() if isinstance(tree, k))
    inner = tree.this
    while isinstance(inner, e.TsOrDsToDate | e.TsOrDsToTimestamp):
        inner = inner.this
    node = read(inner).node
    if node.type != "timestamp":
        raise _refuse(tree)
    return _Typed(Condition(op="time_part", type="integer", args=(node,), value=part))


def _unify(options: list[_Typed], tree: Any) -> tuple[ValueType, list[Condition]]:
    """Return the type of several values, and the values in it."""
    types = {option.node.type for option in options}
    if any(option.sql in ("decimal", "float", "date") for option in options):
        raise _refuse(tree)
    if types == {"integer", "real"}:
        return "real", [_to_real(option).node for option in options]
    if len(types) != 1 or types & {"string", "timestamp"}:
        raise _refuse(tree)
    return types.pop(), [option.node for option in options]


def _read_coalesce(tree: e.Coalesce, read: _Reader) -> _Typed:
    kind, nodes = _unify([read(tree.this), *map(read, tree.expressions)], tree)
    return _Typed(Condition(op="coalesce", type=kind, args=tuple(nodes)))


def _read_if(tree: Any, read: _Reader) -> _Typed:
    if isinstance(tree, e.If):
        branches, default = [(tree.this, tree.args["true"])], tree.args.get("false")
    else:
        branches = [(branch.this, branch.args["true"]) for branch in tree.args["ifs"]]
        default = tree.args.get("default")
        if tree.this is not None:
            raise _refuse(tree)
    values = [read(value) for _, value in branches]
    has_default = default is not None and not isinstance(default, e.Null)
    kind, nodes = _unify([*values, *([read(default)] if has_default else [])], tree)
    node = nodes.pop() if has_default else Condition(op="literal", type=kind)
    for (condition, _), value in reversed(list(zip(branches, nodes, strict=True))):
        chosen = _require_boolean(condition, read)
        node = Condition(op="if", type=kind, args=(chosen, value, node))
    return _Typed(node)


_READERS: Mapping[type[e.Expression], Callable[[Any, _Reader], _Typed]] = {
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
