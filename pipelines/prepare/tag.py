"""Say of every raw row where it goes: to a split, or to a bucket of rows that are not published.

The split is a pure function of the key's values and the seed, the kept duplicate a function of the
rows' values: neither depends on partitions, the number of executors, or what else is in the lake.
"""

from typing import TYPE_CHECKING

from pipelines.errors import LakeError
from pipelines.prepare.explain import explained
from pipelines.prepare.read import col
from pipelines.recipe import Recipe
from pipelines.recipe import sections as s

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Named so that no raw column is in their way.
BUCKET, LABEL, ROW_ID = "__headrace_bucket", "__headrace_label", "__headrace_row_id"
ORDER, _TIE = "__headrace_order", "__headrace_tie"
LABEL_MISSING, DUPLICATE = "label is null", "duplicate"
_SPLIT_STEPS = 1_000_000
_SEPARATOR = "\x1f"


def tag_rows(rows: "DataFrame", recipe: Recipe, columns: list[str], partitions: int) -> "DataFrame":
    """Add the bucket, label, identity and pseudo-random order to every row.

    Args:
        rows: raw rows, joined.
        recipe: label, dedup and split are read.
        columns: raw columns to keep.
        partitions: partitions of the result; rows are dealt to them by the hash of their identity.

    Returns:
        `columns` and BUCKET (string), LABEL (float, null where missing), ROW_ID and ORDER (long),
        one row for every row of `rows`.

    Raises:
        LakeError: the label expression does not compile or is not boolean.
    """
    import pyspark.sql.functions as F
    from pyspark.sql import Window

    dedup = recipe.clean.dedup
    latest_by = [dedup.latest_by] if dedup and dedup.latest_by else []
    key = list(dedup.key) if dedup else []
    needed = list(dict.fromkeys([*columns, *recipe.split.key, *key, *latest_by]))
    labelled = _with_label(rows, recipe.label.expression)
    frame = labelled.select(*(col(name) for name in needed), F.col(LABEL))
    # A null equals nothing: a row without its whole key is no duplicate, and goes by all of itself.
    has_key = F.lit(bool(key))
    for name in key:
        has_key = has_key & col(name).isNotNull()
    whole = F.xxhash64(*(col(name) for name in sorted(needed)), F.col(LABEL))
    by_key = F.xxhash64(*(col(name) for name in key)) if key else whole
    frame = frame.withColumn(_TIE, whole)
    frame = frame.withColumn(ROW_ID, F.when(has_key, by_key).otherwise(whole))
    frame = frame.repartition(partitions, F.col(ROW_ID))
    missing = F.col(LABEL).isNull()
    bucket = F.when(missing, F.lit(LABEL_MISSING))
    if dedup:
        order = [*(col(name).desc_nulls_last() for name in latest_by), F.col(_TIE).desc()]
        same = Window.partitionBy(ROW_ID, *(col(name) for name in key), missing)
        again = has_key & (F.row_number().over(same.orderBy(*order)) > 1)
        bucket = bucket.when(again, F.lit(DUPLICATE))
    bucket = bucket.otherwise(split_of(recipe.split))
    return frame.select(
        *(col(name) for name in columns),
        bucket.alias(BUCKET),
        F.col(LABEL).cast("float").alias(LABEL),
        F.col(ROW_ID),
        F.xxhash64(F.lit(recipe.split.seed), F.lit("order"), F.col(ROW_ID), F.col(_TIE)).alias(
            ORDER
        ),
    )


def split_of(split: s.Split) -> "Column":
    """The split's name, a pure function of the key's text and the seed.

    The key's values go in as text, so that a column that is widened from int to long keeps its
    rows where they were.
    """
    import pyspark.sql.functions as F

    parts = [F.coalesce(col(name).cast("string"), F.lit("\x00")) for name in split.key]
    text = F.concat_ws(_SEPARATOR, F.lit(str(split.seed)), *parts)
    point = F.pmod(F.xxhash64(text), F.lit(_SPLIT_STEPS))
    train = round(split.fractions.train * _SPLIT_STEPS)
    validation = train + round(split.fractions.validation * _SPLIT_STEPS)
    return (
        F.when(point < train, F.lit("train"))
        .when(point < validation, F.lit("validation"))
        .otherwise(F.lit("test" if split.fractions.test else "validation"))
    )


def _with_label(rows: "DataFrame", expression: str) -> "DataFrame":
    import pyspark.sql.functions as F

    with explained(f"label.expression ({expression})"):
        labelled = rows.withColumn(LABEL, F.expr(expression))
        found = labelled.schema[LABEL].dataType.simpleString()
    if found != "boolean":
        raise LakeError(
            f"label.expression ({expression}) has type {found}, expected boolean; "
            "write a condition, for example `label = 1`"
        )
    return labelled
