"""Compute conditions of the transform on Spark: the third execution, beside the two of
`transform`."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headrace.columns.values import MISSING_INTEGER
from headrace.schema import ColumnType
from headrace.source.balanced import combine_balanced
from headrace.source.internal_columns import col, is_internal
from headrace.source.raw_schema import RawSchema
from headrace.source.types import RAW_KINDS, is_finite
from headrace.transform.condition import Condition
from headrace.transform.sql_condition import ConditionColumn

if TYPE_CHECKING:
    from pyspark.sql import Column

_SCALARS = ("integer", "real", "string", "timestamp", "bytes")
_Build = Callable[[Condition], "Column"]


def list_condition_columns(schema: RawSchema) -> dict[str, ConditionColumn]:
    """Return the columns of one value per row that a condition may read."""
    return {
        name: ConditionColumn(RAW_KINDS[column_type], schema.sql_types[name])
        for name, column_type in schema.types.items()
        if not is_internal(name) and RAW_KINDS.get(column_type) in _SCALARS
    }


def has_value(column: str, schema: RawSchema) -> "Column":
    """Return whether a value is not missing: not null, a finite number where it is a real, and none
    that stands for null where it is an integer."""
    present = col(column).isNotNull()
    if schema.types.get(column) is ColumnType.REAL:
        present = present & is_finite(col(column).cast("double"))
    if schema.sql_types.get(column) == "bigint":
        present = present & (col(column) != MISSING_INTEGER)
    return present


def build_condition_column(condition: Condition, schema: RawSchema) -> "Column":
    """Build a condition as a column of Spark: true, false or null.

    Args:
        condition: of type boolean.
        schema: of the rows.
    """

    def build(node: Condition) -> "Column":
        return _build(node, schema, build)

    return build(condition)


def _build(node: Condition, schema: RawSchema, build: _Build) -> "Column":
    import pyspark.sql.functions as F

    if node.op == "column":
        return _build_column(node, schema)
    if node.op == "literal":
        return _build_literal(node.value, node.type)
    if node.op == "present":
        return has_value(str(node.args[0].name), schema)
    if node.op == "among":
        value = build(node.args[0])
        # A list of many is looked up by its bits, and -0.0 has others than 0.0.
        value = value + F.lit(0.0) if node.args[0].type == "real" else value
        return value.isin(*(v + 0.0 if isinstance(v, float) else v for v in node.values))
    args = [build(arg) for arg in _list_args(node)]
    if node.op == "time_part":
        part = {"day": "dayofmonth", "day_of_year": "dayofyear"}.get(
            str(node.value), str(node.value)
        )
        found: Column = getattr(F, part)(F.timestamp_micros(args[0]))
        return found.cast("bigint")
    if node.op == "matches":
        return args[0].rlike(str(node.value))
    if node.op in ("negate", "absolute"):
        changed = -args[0] if node.op == "negate" else F.abs(args[0])
        if node.type == "real":
            return changed
        return F.when(args[0] != MISSING_INTEGER, changed)
    result = _OPERATIONS[node.op](args)
    is_computed = node.op in ("add", "subtract", "multiply", "divide")
    return _without_nan(result) if is_computed and node.type == "real" else result


def _list_args(node: Condition) -> list[Condition]:
    """List what a condition is of; those of a chain of and, or of or, all at once."""
    if node.op not in ("and", "or"):
        return list(node.args)
    listed: list[Condition] = []
    pending = list(reversed(node.args))
    while pending:
        arg = pending.pop()
        if arg.op == node.op:
            pending += reversed(arg.args)
        else:
            listed.append(arg)
    return listed


def _build_column(node: Condition, schema: RawSchema) -> "Column":
    import pyspark.sql.functions as F

    column = col(str(node.name))
    if node.type == "real":
        return _without_nan(column.cast("double"))
    if node.type == "timestamp":
        return F.unix_micros(column.cast("timestamp"))
    if node.type == "integer":
        number = column.cast("bigint")
        is_long = schema.sql_types[str(node.name)] == "bigint"
        return F.when(number != MISSING_INTEGER, number) if is_long else number
    return column.cast("string")


def _build_literal(value: Any, kind: str) -> "Column":
    import pyspark.sql.functions as F

    sql = {"real": "double", "string": "string", "boolean": "boolean"}.get(kind, "bigint")
    return F.lit(value).cast(sql)


def _without_nan(number: "Column") -> "Column":
    import pyspark.sql.functions as F

    return F.when(~F.isnan(number), number)


def _compute(name: str) -> Callable[[list["Column"]], "Column"]:
    """Return a function of Spark by its name, of two arguments."""

    def compute(args: "list[Column]") -> "Column":
        import pyspark.sql.functions as F

        found: Column = getattr(F, name)(*args)
        return found

    return compute


def _choose(args: "list[Column]") -> "Column":
    import pyspark.sql.functions as F

    return F.when(args[0], args[1]).otherwise(args[2])


_OPERATIONS: Mapping[str, Callable[[list["Column"]], "Column"]] = {
    "equal": lambda args: args[0] == args[1],
    "less": lambda args: args[0] < args[1],
    "less_or_equal": lambda args: args[0] <= args[1],
    "and": lambda args: combine_balanced(args, lambda a, b: a & b),
    "or": lambda args: combine_balanced(args, lambda a, b: a | b),
    "not": lambda args: ~args[0],
    "is_null": lambda args: args[0].isNull(),
    "add": _compute("try_add"),
    "subtract": _compute("try_subtract"),
    "multiply": _compute("try_multiply"),
    "divide": _compute("try_divide"),
    "to_real": lambda args: args[0].cast("double"),
    "length": lambda args: _compute("length")(args).cast("bigint"),
    "coalesce": _compute("coalesce"),
    "if": _choose,
}
