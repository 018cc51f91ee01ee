"""Compute labels, weights and baselines on Arrow columns as Spark computes their SQL.

What is taken is a column's own value, and comparisons of columns with literals; all other SQL is
left to Spark.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.values import MISSING_INTEGER, RawKind, read_column
from headrace.labels.kind import Values
from headrace.labels.kinds import find_label_kind
from headrace.recipe import Recipe
from headrace.schema import NUMBERS, ColumnType
from headrace.source.condition_columns import list_condition_columns
from headrace.source.internal_columns import BASELINE, LABEL, WEIGHT
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.raw_schema import RawSchema
from headrace.transform.condition import Condition, make_condition
from headrace.transform.condition_arrays import find_rows
from headrace.transform.java_pattern import NoTranslationError
from headrace.transform.sql_condition import read_sql_condition

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|`[^`]+`")
_OPERATIONS = frozenset(
    {"column", "literal", "equal", "less", "less_or_equal", "among", "and", "or", "not", "is_null"}
)
_KEYWORDS = frozenset({"null", "true", "false", "current_date", "current_timestamp", "user"})
_SMALLEST_NORMAL = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Expression:
    """A value of each row.

    Attributes:
        name: LABEL, WEIGHT or BASELINE.
        column: whose own value it is; empty where there is a condition.
        condition: whose truth it is.
        kinds: columns that are read -> kind.
        as_text: whether the value is a text.
    """

    name: str
    column: str
    condition: Condition | None
    kinds: Mapping[str, RawKind]
    as_text: bool

    def compute(self, columns: Mapping[str, pa.Array], rows: int) -> pa.Array:
        """Compute the values of rows.

        Args:
            columns: those that are read.
            rows: their number.

        Returns:
            float64 or string (rows,); null where a number is not finite, unless it is a weight.

        Raises:
            NeedsSparkError: a value is among those which Spark compares otherwise.
        """
        if self.condition is not None:
            return self._compute_condition(self.condition, columns, rows)
        values = columns[self.column]
        if self.as_text:
            return values if pa.types.is_string(values.type) else values.cast(pa.string())
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        numbers = pc.cast(values, pa.float64(), safe=False)
        if self.name == WEIGHT:
            return numbers
        finite = pc.fill_null(pc.is_finite(numbers), False)
        return pc.if_else(finite, numbers, pa.scalar(None, pa.float64()))

    def _compute_condition(
        self, condition: Condition, columns: Mapping[str, pa.Array], rows: int
    ) -> pa.Array:
        read = {name: read_column(columns[name], kind) for name, kind in self.kinds.items()}
        for name, values in read.items():
            column = columns[name]
            if values.kind == "real":
                numbers = pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False)
                size = np.abs(numbers)
                if not np.all((size == 0) | ((size >= _SMALLEST_NORMAL) & np.isfinite(size))):
                    raise NeedsSparkError(f"{name} has values that are no finite numbers")
            elif values.kind == "integer" and pc.any(pc.equal(column, MISSING_INTEGER)).as_py():
                raise NeedsSparkError(f"{name} has the value {MISSING_INTEGER}")
        true = find_rows(condition, read, rows)
        null = find_rows(make_condition("is_null", condition), read, rows)
        return pa.array(true.astype(np.float64), mask=null)


def read_expressions(recipe: Recipe, schema: RawSchema) -> tuple[Expression, ...]:
    """Read the expressions of a recipe's label.

    Raises:
        NeedsSparkError: one is none that is computed here.
    """
    label = recipe.label
    kind = find_label_kind(label.kind)
    if kind.values is Values.TEXTS:
        raise NeedsSparkError("a row has several labels")
    read = [_read(LABEL, label.expression, schema, kind.sql_types, kind.values is Values.TEXT)]
    if label.sample_weight:
        read.append(_read(WEIGHT, label.sample_weight, schema, NUMBERS, False))
    if label.baseline:
        read.append(_read(BASELINE, label.baseline, schema, NUMBERS, False))
    return tuple(read)


def _read(
    name: str, text: str, schema: RawSchema, types: frozenset[ColumnType], as_text: bool
) -> Expression:
    columns = list_condition_columns(schema)
    bare = text.strip()
    if _NAME.fullmatch(bare) and bare.lower() not in _KEYWORDS:
        column = bare.strip("`")
        if column not in columns or schema.types[column] not in types:
            raise NeedsSparkError(f"{text} is no column of a fitting type")
        taken = {ColumnType.STRING, ColumnType.INTEGER} if as_text else NUMBERS
        if schema.types[column] not in taken:
            raise NeedsSparkError(f"{text} is a {schema.types[column].value}")
        return Expression(name, column, None, {column: columns[column].kind}, as_text)
    if as_text or ColumnType.BOOLEAN not in types:
        raise NeedsSparkError(f"{text} is more than a column")
    try:
        condition = read_sql_condition(text, columns)
    except NoTranslationError as error:
        raise NeedsSparkError(f"{text}: {error}") from None
    _refuse_other_operations(text, condition)
    kinds = {column: columns[column].kind for column in condition.list_columns()}
    if any(columns[column].sql not in ("bigint", "string", "double") for column in kinds):
        raise NeedsSparkError(f"{text} compares other values than numbers and texts")
    return Expression(name, "", condition, kinds, as_text)


def _refuse_other_operations(text: str, node: Condition) -> None:
    if node.op not in _OPERATIONS:
        raise NeedsSparkError(f"{text} computes")
    for arg in node.args:
        _refuse_other_operations(text, arg)
