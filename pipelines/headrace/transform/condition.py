"""Hold conditions on the columns of one row as plain trees: what a rule means, for every engine.

Three executions compute a condition: NumPy (`condition_arrays.py`), TensorFlow
(`graph_conditions.py`) and Spark (`source/condition_columns.py`). Values are those of
`columns.values`, with booleans as the integers 0 and 1, and *null* means:

  integer, timestamp   null, and -2**63, which stands for it in a tensor.
  real                 null and NaN; the infinities are numbers.
  string               null.

A null operand makes the result null, but for `and`, `or` and `not` (Kleene's logic, as in SQL),
`is_null`, `present`, `if` and `coalesce`. What a division by zero, or whole numbers beyond 64 bits
give, is null as well.
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

ValueType = Literal["boolean", "integer", "real", "string", "timestamp"]
Op = Literal[
    "column", "literal",
    "equal", "less", "less_or_equal",  # of two values of one type
    "among",  # is a value one of `values`
    "and", "or", "not", "is_null",
    "present",  # of a column: neither null nor infinite
    "add", "subtract", "multiply", "divide", "negate", "absolute", "to_real",
    "length",  # of a text, in code points
    "matches",  # `value`, a pattern of RE2, is found in a column of texts
    "time_part",  # `value` of a time, see `calendar.read_time_part`
    "if", "coalesce",
]  # fmt: skip


class Condition(BaseModel):
    """A node of a condition: an operation, and the nodes that it takes.

    Texts are only compared: they are columns and literals.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    op: Op
    type: ValueType
    args: tuple["Condition", ...] = ()
    name: str | None = None
    """Of a column."""
    value: bool | int | float | str | None = None
    """Of a literal, a pattern or a part of a time."""
    values: tuple[bool | int | float | str, ...] = ()

    def list_columns(self) -> tuple[str, ...]:
        """Return the columns that it reads, each once."""
        return tuple(dict.fromkeys(self._iterate_columns()))

    def _iterate_columns(self) -> Iterator[str]:
        if self.name is not None:
            yield self.name
        for node in self.args:
            yield from node._iterate_columns()


def make_literal(value: bool | int | float | str, kind: ValueType) -> Condition:
    """Make a literal of a type; numbers of `real` become floats."""
    return Condition(op="literal", type=kind, value=float(value) if kind == "real" else value)


def make_condition(op: Op, *args: Condition) -> Condition:
    """Make a node of a boolean operation."""
    return Condition(op=op, type="boolean", args=args)


def make_among(node: Condition, values: tuple[bool | int | float | str, ...]) -> Condition:
    """Make the condition that a value is one of these, of its type."""
    typed = tuple(float(v) if node.type == "real" else v for v in values)
    return Condition(op="among", type="boolean", args=(node,), values=typed)


def negate_condition(node: Condition) -> Condition:
    """Make the negation of a condition."""
    return make_condition("not", node)


def join_conditions(op: Op, nodes: list[Condition]) -> Condition:
    """Join one or more conditions by `and` or `or`."""
    joined = nodes[0]
    for node in nodes[1:]:
        joined = make_condition(op, joined, node)
    return joined
