"""The rules of a recipe as conditions on Spark: which rows violate a rule, and why.

Conditions are Catalyst expressions, so that a rule may be any Spark SQL. What becomes of rows that
violate one is left to `rules.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import LakeError
from headrace.recipe import sections as s
from headrace.schema import ColumnType
from headrace.source.balanced import combine_balanced
from headrace.source.condition_columns import (
    build_condition_column,
    has_value,
    list_condition_columns,
)
from headrace.source.internal_columns import col, name_count
from headrace.source.keys import has_whole_key
from headrace.source.raw_schema import RawSchema
from headrace.spark_engine.find_engine import find_engine
from headrace.transform.java_pattern import NoTranslationError
from headrace.transform.literals import Literal, read_limit, read_literal
from headrace.transform.sql_condition import read_sql_condition

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession


@dataclass(frozen=True)
class RuleCondition:
    """A rule, on Spark.

    Attributes:
        violated: true for rows that violate the rule, false for all others.
        reason: what is wrong with such a row, for people.
        count: what has to be a column `count_of(position of the rule)` before the others are
            used: rows that share the rule's key.
    """

    violated: "Column"
    reason: "Column"
    count: "Column | None" = None


def build_condition(
    spark: "SparkSession", index: int, rule: "s.Rule", schema: RawSchema
) -> RuleCondition:
    """Build the condition of a rule.

    Args:
        spark: compiles the pattern of a regex.
        index: position of the rule in the recipe.
        rule: of the recipe.
        schema: of the rows.

    Raises:
        LakeError: the rule does not fit the type of its column.
    """
    import pyspark.sql.functions as F

    if isinstance(rule, s.NotNull):
        return _build_not_null(rule, schema)
    if isinstance(rule, s.Range):
        return _build_range(index, rule, schema)
    if isinstance(rule, s.In):
        value = col(rule.column)
        if schema.types[rule.column] is ColumnType.REAL:
            value = value + F.lit(0.0)  # a list of many is looked up by bits: -0.0 becomes 0.0
        values = _build_values(index, rule, schema)
        violated = has_value(rule.column, schema) & ~value.isin(*values)
        listed = ", ".join(map(str, rule.values[:5])) + (", …" if len(rule.values) > 5 else "")
        reason = F.concat(
            F.lit(f"{rule.column}: "), quote_value(rule.column), F.lit(f" is none of {listed}")
        )
        return RuleCondition(_null_as_false(violated), reason)
    if isinstance(rule, s.Regex):
        find_engine(spark).compile_pattern(rule.pattern)  # or it fails in some task, unnamed
        violated = ~col(rule.column).cast("string").rlike(rule.pattern)
        reason = F.concat(
            F.lit(f"{rule.column}: "),
            quote_value(rule.column),
            F.lit(f" does not match {rule.pattern}"),
        )
        return RuleCondition(_null_as_false(violated), reason)
    if isinstance(rule, s.Expr):
        try:
            parsed = read_sql_condition(rule.expression, list_condition_columns(schema))
        except NoTranslationError:
            violated = ~F.expr(f"({rule.expression})")
        else:
            # Spark's parser has the last word on what is SQL.
            find_engine(spark).parse_expression(f"({rule.expression})")
            violated = ~build_condition_column(parsed, schema)
        return RuleCondition(_null_as_false(violated), F.lit(f"not {rule.expression}"))
    return _build_unique(index, rule)


def quote_value(column: str) -> "Column":
    """Return a column's value as a short text for people."""
    import pyspark.sql.functions as F

    text = F.coalesce(col(column).cast("string"), F.lit("null"))
    return F.concat(F.lit("'"), F.substring(text, 1, 80), F.lit("'"))


def _build_not_null(rule: s.NotNull, schema: RawSchema) -> RuleCondition:
    import pyspark.sql.functions as F

    missing = [~has_value(column, schema) for column in rule.columns]
    violated = combine_balanced(missing, lambda first, second: first | second)
    names = [F.when(m, F.lit(c)) for m, c in zip(missing, rule.columns, strict=True)]
    return RuleCondition(violated, F.concat(F.concat_ws(", ", *names), F.lit(" is missing")))


def _build_range(index: int, rule: s.Range, schema: RawSchema) -> RuleCondition:
    import pyspark.sql.functions as F

    column, low, high = col(rule.column), F.lit(False), F.lit(False)
    if rule.min is not None:
        low = column < _build_limit(index, rule, rule.min, schema)
    if rule.max is not None:
        high = column > _build_limit(index, rule, rule.max, schema)
    violated = has_value(rule.column, schema) & (low | high)
    limits = F.when(low, F.lit(f" is below {rule.min}")).otherwise(F.lit(f" is above {rule.max}"))
    reason = F.concat(F.lit(f"{rule.column}: "), quote_value(rule.column), limits)
    return RuleCondition(_null_as_false(violated), reason)


def _build_values(index: int, rule: s.In, schema: RawSchema) -> "list[Column]":
    """Build the values of a rule, in the type of its column."""
    import pyspark.sql.functions as F

    column_type = schema.types[rule.column]
    with _explain_literal(index, rule):
        values = [read_literal(value, column_type) for value in rule.values]
    is_time = column_type is ColumnType.TIMESTAMP
    kind = schema.spark_types[rule.column]
    return [F.lit(value).cast(kind) if is_time else F.lit(value) for value in values]


def _build_limit(index: int, rule: s.Range, limit: Literal, schema: RawSchema) -> "Column":
    """Build a limit of a rule, as its column can be compared with it."""
    import pyspark.sql.functions as F

    column_type = schema.types[rule.column]
    with _explain_literal(index, rule):
        number = read_limit(limit, column_type)
    is_huge = isinstance(number, int) and not -(2**63) <= number < 2**63
    value = F.lit(float(number) if is_huge else number)
    is_time = column_type is ColumnType.TIMESTAMP
    return value.cast(schema.spark_types[rule.column]) if is_time else value


@contextmanager
def _explain_literal(index: int, rule: "s.In | s.Range") -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise LakeError(
            f"clean.rules.{index} ({rule.kind}), column {rule.column!r}: {error}"
        ) from None


def _build_unique(index: int, rule: s.Unique) -> RuleCondition:
    import pyspark.sql.functions as F
    from pyspark.sql import Window

    whole_key = has_whole_key(rule.columns)
    # Rows without the whole key are no duplicates; each is a group of its own, or one task would
    # hold all of them.
    alone = F.when(~whole_key, F.monotonically_increasing_id())
    keys = [*(col(column) for column in rule.columns), alone]
    values = F.concat_ws(", ", *(F.concat(F.lit(f"{c}="), quote_value(c)) for c in rule.columns))
    rows = F.col(name_count(index)).cast("string")
    return RuleCondition(
        violated=F.col(name_count(index)) > 1,
        reason=F.concat(values, F.lit(" has "), rows, F.lit(" rows")),
        count=F.count(F.lit(1)).over(Window.partitionBy(*keys)),
    )


def _null_as_false(condition: "Column") -> "Column":
    import pyspark.sql.functions as F

    return F.coalesce(condition, F.lit(False))
