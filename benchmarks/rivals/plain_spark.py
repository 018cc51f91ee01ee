"""Prepare the click log with a plain Spark SQL job, as a good engineer would write it by hand.

It reads the lake once (the cleaned rows are cached), aggregates the numbers in one job and the
categories in another, and transforms the rows with 26 broadcast joins and 13 expressions.
"""

from typing import TYPE_CHECKING

from benchmarks.rivals.clicks import clean_clicks
from headrace.examples.synthetic import CATEGORICAL, NUMERIC

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row, SparkSession


def prepare_clicks(spark: "SparkSession", lake: str, out: str) -> None:
    """Clean, fit on train, transform all rows, and write them by split."""
    import pyspark.sql.functions as F

    rows = clean_clicks(spark, lake).persist()
    train = rows.where("split = 'train'")
    moments = train.agg(
        *(F.avg(name).alias(f"{name}.mean") for name in NUMERIC),
        *(F.stddev_pop(name).alias(f"{name}.std") for name in NUMERIC),
    ).first()
    assert moments is not None
    vocabulary = _build_vocabulary(train).persist()
    vocabulary.count()  # otherwise 26 broadcasts wait for, and compete with, its job
    joined = rows
    for name in CATEGORICAL:
        ids = vocabulary.where(F.col("column") == name)
        ids = ids.select(F.col("value").alias(name), F.col("id").alias(f"{name}_id"))
        joined = joined.join(F.broadcast(ids), name, "left")
    ready = joined.select(
        "row_id",
        *(_scale_column(name, moments) for name in NUMERIC),
        *(_look_up_id(name) for name in CATEGORICAL),
        "label",
        "split",
    )
    # No repartition here: deduplication has already partitioned rows by hash of the event.
    ready.write.partitionBy("split").parquet(out)
    vocabulary.unpersist()
    rows.unpersist()


def _build_vocabulary(train: "DataFrame") -> "DataFrame":
    """Build a table (column, value, id) with ids from 2 on, by count, then by value."""
    import pyspark.sql.functions as F
    from pyspark.sql import Window

    pairs = ", ".join(f"'{name}', {name}" for name in CATEGORICAL)
    stacked = train.selectExpr(f"stack({len(CATEGORICAL)}, {pairs}) AS (column, value)")
    counted = stacked.where("value IS NOT NULL").groupBy("column", "value").count()
    order = Window.partitionBy("column").orderBy(F.desc("count"), "value")
    return counted.withColumn("id", (F.row_number().over(order) + 1).cast("int"))


def _scale_column(name: str, moments: "Row") -> "Column":
    import pyspark.sql.functions as F

    mean, std = F.lit(moments[f"{name}.mean"]), F.lit(moments[f"{name}.std"])
    return F.coalesce((F.col(name) - mean) / std, F.lit(0.0)).cast("float").alias(name)


def _look_up_id(name: str) -> "Column":
    import pyspark.sql.functions as F

    known_or_unknown = F.coalesce(f"{name}_id", F.lit(1))
    return F.when(F.col(name).isNull(), 0).otherwise(known_or_unknown).alias(name)
