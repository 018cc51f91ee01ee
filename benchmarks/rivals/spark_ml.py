"""Prepare with Spark ML's estimators: Imputer, StringIndexer, VectorAssembler, StandardScaler.

Ids are numbered as Spark ML does: 0 is the most frequent value; missing and unknown values share
the last id. The standard deviation is that of the imputed column.
"""

from typing import TYPE_CHECKING

from benchmarks.rivals.clicks import clean_clicks
from headrace.examples.synthetic import CATEGORICAL, NUMERIC

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def prepare_clicks(spark: "SparkSession", lake: str, out: str) -> None:
    """Clean, fit the pipeline on train, transform all rows, and write them by split."""
    import pyspark.sql.functions as F
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import Imputer, StandardScaler, StringIndexer, VectorAssembler
    from pyspark.ml.functions import vector_to_array

    imputed, indexed = [f"{n}_imputed" for n in NUMERIC], [f"{n}_index" for n in CATEGORICAL]
    pipeline = Pipeline(
        stages=[
            Imputer(strategy="mean", inputCols=list(NUMERIC), outputCols=imputed),
            StringIndexer(
                inputCols=list(CATEGORICAL),
                outputCols=indexed,
                handleInvalid="keep",
                stringOrderType="frequencyDesc",
            ),
            VectorAssembler(inputCols=imputed, outputCol="assembled"),
            StandardScaler(inputCol="assembled", outputCol="scaled", withMean=True, withStd=True),
        ]
    )
    rows = clean_clicks(spark, lake).persist()
    model = pipeline.fit(rows.where("split = 'train'"))
    scaled = model.transform(rows).withColumn("scaled", vector_to_array(F.col("scaled"), "float32"))
    ready = scaled.select(
        "row_id",
        *(F.col("scaled")[position].alias(name) for position, name in enumerate(NUMERIC)),
        *(
            F.col(index).cast("int").alias(name)
            for name, index in zip(CATEGORICAL, indexed, strict=True)
        ),
        "label",
        "split",
    )
    ready.write.partitionBy("split").parquet(out)
    rows.unpersist()
