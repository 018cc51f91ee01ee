"""Give rows their label, weight and baseline as columns of fixed names."""

from typing import TYPE_CHECKING

from headrace.errors import LakeError
from headrace.recipe import Recipe
from headrace.schema import ColumnType
from headrace.source.internal_columns import BASELINE, LABEL, WEIGHT
from headrace.source.spark_errors import explained
from headrace.source.types import column_types
from headrace.transform.multi_label import SEPARATOR

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_LABEL_TYPES = {
    "binary": ({ColumnType.BOOLEAN}, "boolean; write a condition, for example `label = 1`"),
    "classes": (
        {ColumnType.STRING, ColumnType.INTEGER, ColumnType.BOOLEAN},
        "a text or a whole number",
    ),
    "multi_label": (
        {ColumnType.STRINGS, ColumnType.INTEGERS},
        "an array of texts or whole numbers, for example `array_compact(array(IF(a, 'a', NULL), "
        "IF(b, 'b', NULL)))`",
    ),
    "regression": (
        {ColumnType.REAL, ColumnType.INTEGER, ColumnType.BOOLEAN},
        "a number",
    ),
}


def with_labels(rows: "DataFrame", recipe: Recipe) -> "DataFrame":
    """Add LABEL (double, or text for classes and multi_label), and WEIGHT and BASELINE (double).

    Raises:
        LakeError: an expression does not compile, or has the wrong type.
    """
    label = recipe.label
    rows = _with_expression(rows, LABEL, "label.expression", label.expression, label.kind)
    if label.sample_weight:
        rows = _with_expression(
            rows, WEIGHT, "label.sample_weight", label.sample_weight, "regression"
        )
    if label.baseline:
        rows = _with_expression(rows, BASELINE, "label.baseline", label.baseline, "regression")
    return rows


def _with_expression(
    rows: "DataFrame", name: str, where: str, expression: str, kind: str
) -> "DataFrame":
    import pyspark.sql.functions as F

    with explained(f"{where} ({expression})"):
        made = rows.withColumn(name, F.expr(expression))
        found = column_types(made)[name]
        sql = made.schema[name].dataType.simpleString()
    types, wanted = _LABEL_TYPES[kind]
    if found not in types or "array<array" in sql:
        raise LakeError(f"{where} ({expression}) has type {sql}, expected {wanted}")
    if kind == "classes":
        return made.withColumn(name, F.col(name).cast("string"))
    if kind == "multi_label":
        return made.withColumn(name, _joined(F.col(name), where))
    number = F.col(name).cast("double")
    finite = ~F.isnan(number) & (F.abs(number) < float("inf"))
    return made.withColumn(name, F.when(finite, number) if name != WEIGHT else number)


def _joined(labels: "Column", where: str) -> "Column":
    """Labels of a row as `transform.multi_label` has them; nulls and empty texts are none."""
    import pyspark.sql.functions as F

    named = F.filter(labels.cast("array<string>"), lambda label: label != "")
    bad = F.exists(named, lambda label: label.contains(SEPARATOR))
    said = F.raise_error(
        F.concat(
            F.lit(f"{where}: a label contains the control character 0x1F: "),
            F.to_json(named),
            F.lit("; take it out, for example with transform(…, t -> replace(t, char(31), ' '))"),
        )
    )
    text = F.concat_ws(SEPARATOR, F.array_sort(F.array_distinct(named)))
    return F.when(labels.isNull(), None).when(bad, said.cast("string")).otherwise(text)
