"""Add the label, the sample weight and the baseline to rows, as columns of fixed names."""

from typing import TYPE_CHECKING

from headrace.errors import RecipeMismatchError
from headrace.labels.kind import LabelKind, Values
from headrace.labels.kinds import find_label_kind
from headrace.labels.label_texts import SEPARATOR
from headrace.recipe import Recipe
from headrace.schema import NUMBERS
from headrace.source.internal_columns import BASELINE, LABEL, WEIGHT
from headrace.source.raw_schema import RawSchema
from headrace.source.spark_errors import explain_spark_errors
from headrace.source.types import is_finite, to_column_type

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def add_labels(
    rows: "DataFrame", schema: RawSchema, recipe: Recipe
) -> "tuple[DataFrame, RawSchema]":
    """Add LABEL (double, or text for classes and multi_label), and WEIGHT and BASELINE (double).

    Returns:
        the rows, and their schema.

    Raises:
        RecipeMismatchError: an expression does not compile, or has the wrong type.
    """
    label = recipe.label
    kind = find_label_kind(label.kind)
    rows = _add_expression(rows, LABEL, "label.expression", label.expression, kind)
    if label.sample_weight:
        rows = _add_expression(rows, WEIGHT, "label.sample_weight", label.sample_weight)
    if label.baseline:
        rows = _add_expression(rows, BASELINE, "label.baseline", label.baseline)
    added = [name for name in (LABEL, WEIGHT, BASELINE) if name in rows.columns]
    return rows, schema.with_columns({name: rows.schema[name].dataType for name in added})


def _add_expression(
    rows: "DataFrame", name: str, where: str, expression: str, kind: LabelKind | None = None
) -> "DataFrame":
    """Add the value of an expression as a column; null where a number is not finite."""
    import pyspark.sql.functions as F

    with explain_spark_errors(f"{where} ({expression})"):
        labelled = rows.withColumn(name, F.expr(expression))
        spark_type = labelled.schema[name].dataType
    column_type, sql = to_column_type(spark_type), spark_type.simpleString()
    types, hint = (kind.sql_types, kind.sql_hint) if kind else (NUMBERS, "a number")
    if column_type not in types or "array<array" in sql:
        raise RecipeMismatchError(f"{where} ({expression}) has type {sql}, expected {hint}")
    values = kind.values if kind else Values.NUMBER
    if values is Values.TEXT:
        return labelled.withColumn(name, F.col(name).cast("string"))
    if values is Values.TEXTS:
        return labelled.withColumn(name, _join_labels(F.col(name), where))
    number = F.col(name).cast("double")
    return labelled.withColumn(
        name, F.when(is_finite(number), number) if name != WEIGHT else number
    )


def _join_labels(labels: "Column", where: str) -> "Column":
    """Join the labels of a row to one text, see `labels/label_texts.py`; nulls and empty texts are
    left out."""
    import pyspark.sql.functions as F

    texts = F.filter(labels.cast("array<string>"), lambda label: label != "")
    has_separator = F.exists(texts, lambda label: label.contains(SEPARATOR))
    error = F.raise_error(
        F.concat(
            F.lit(f"{where}: a label contains the control character 0x1F: "),
            F.to_json(texts),
            F.lit("; take it out, for example with transform(…, t -> replace(t, char(31), ' '))"),
        )
    )
    text = F.concat_ws(SEPARATOR, F.array_sort(F.array_distinct(texts)))
    return F.when(labels.isNull(), None).when(has_separator, error.cast("string")).otherwise(text)
