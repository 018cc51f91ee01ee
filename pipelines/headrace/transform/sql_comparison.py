"""Compare the values of a condition of Spark SQL: of the narrowest type that has both.

Whole numbers are compared with decimal literals exactly, and with all other reals as float64, as
Spark does; times with texts that say one.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlglot import expressions as e

from headrace.recipe.times import parse_time_to_micros
from headrace.transform.condition import (
    Condition,
    make_condition,
    make_literal,
    negate_condition,
)
from headrace.transform.java_pattern import NoTranslationError

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?")


@dataclass(frozen=True)
class TypedNode:
    """A node, and what its type is in Spark where that is more than the node's type.

    Attributes:
        node: the node.
        sql: `decimal` (of a literal), `date`, `text` (of a literal), `boolean`, `float`, or "".
        number: of a literal.
    """

    node: Condition
    sql: str = ""
    number: Decimal | int | float | None = None


def refuse_sql(tree: Any) -> NoTranslationError:
    """Return the error that only Spark can compute a piece of SQL."""
    text = tree.sql(dialect="spark") if isinstance(tree, e.Expression) else str(tree)
    return NoTranslationError(f"only Spark can compute {text[:80]}")


def compare_values(op: Any, left: TypedNode, right: TypedNode, tree: Any) -> Condition:
    """Compare two values as Spark does, of the narrowest type that has both.

    Args:
        op: equal, less or less_or_equal.
        left, right: the values.
        tree: the piece of SQL, for an error.

    Raises:
        NoTranslationError: only Spark can compare them.
    """
    types = {left.node.type, right.node.type}
    if len(types) == 1 and types <= {"integer", "real", "timestamp", "boolean"}:
        if types == {"boolean"}:
            if op != "equal":
                raise refuse_sql(tree)
            same = [
                make_condition("and", left.node, right.node),
                make_condition("and", negate_condition(left.node), negate_condition(right.node)),
            ]
            return make_condition("or", *same)
        return make_condition(op, left.node, right.node)
    if types == {"string"}:
        literals = [side.sql == "text" for side in (left, right)]
        if all(literals) or (op != "equal" and not any(literals)):
            raise refuse_sql(tree)
        return make_condition(op, left.node, right.node)
    if types == {"integer", "real"}:
        return _compare_numbers(op, left, right)
    if types == {"timestamp", "string"}:
        time, text = (left, right) if left.node.type == "timestamp" else (right, left)
        moment = read_time_literal(text, time.sql == "date", tree)
        sides = [time.node, moment] if time is left else [moment, time.node]
        return make_condition(op, *sides)
    raise refuse_sql(tree)


def _compare_numbers(op: Any, left: TypedNode, right: TypedNode) -> Condition:
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
    as_real = convert_to_real(whole).node
    return make_condition(op, *((as_real, real.node) if whole is left else (real.node, as_real)))


def convert_to_real(typed: TypedNode) -> TypedNode:
    """Return a number as a real one."""
    if typed.node.type == "real":
        return typed
    if typed.number is not None:
        return TypedNode(make_literal(float(typed.number), "real"), "", float(typed.number))
    return TypedNode(Condition(op="to_real", type="real", args=(typed.node,)))


def read_time_literal(text: TypedNode, is_date: bool, tree: Any) -> Condition:
    """Read a text as a time, or as a date alone.

    Raises:
        NoTranslationError: it is none, or one that Spark casts in a way of its own.
    """
    literal = str(text.node.value)
    if text.sql != "text" or not (_DATE if is_date else _TIME).fullmatch(literal.strip()):
        raise refuse_sql(tree)
    try:
        return make_literal(parse_time_to_micros(literal.strip()), "timestamp")
    except ValueError:
        raise refuse_sql(tree) from None
