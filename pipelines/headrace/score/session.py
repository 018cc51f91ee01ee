"""Configure Spark for scoring, and warm its Python processes up before the rows come."""

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from headrace.recipe import Recipe
from headrace.score.network import import_tensorflow
from headrace.source.types import SMALL_KINDS
from headrace.spark_engine.find_engine import find_engine
from headrace.transform.spec import TransformSpec

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

_PARTITIONS_PER_CORE = 4


def configure_session(spark: "SparkSession", spec: TransformSpec, recipe: Recipe) -> None:
    """Configure how Spark partitions rows, where the user has not.

    There are some partitions for each core, so that none waits for another's large one: by default
    Spark makes one for each core, and does not split files within a row group (2 million rows in 12
    files on 2 cores: 1.3 and 0.7 million). Batches have as many rows as are predicted at once,
    unless lists and images make rows large.
    """
    engine = find_engine(spark)
    settings = {"spark.sql.files.minPartitionNum": _PARTITIONS_PER_CORE * engine.get_parallelism()}
    if SMALL_KINDS.issuperset(column.kind for column in spec.raw):
        settings["spark.sql.execution.arrow.maxRecordsPerBatch"] = recipe.score.batch_rows
    configured = {*engine.list_start_settings(), *recipe.spark.conf}
    for key, value in settings.items():
        if key not in configured:
            spark.conf.set(key, str(value))


def warm_up_workers(spark: "SparkSession") -> None:
    """Have Spark's Python processes import what they will need, while the driver goes on.

    Importing TensorFlow takes them seconds, and until the first rows come they have nothing else to
    do (2 million rows on 2 cores: 36 s without, 33 s with).
    """
    cores = find_engine(spark).get_parallelism()

    def import_in_workers() -> None:
        with contextlib.suppress(Exception):  # whatever it is, scoring runs into it and reports it
            # By mapInArrow, as scoring does: Spark has other processes for other kinds of work.
            spark.range(0, cores, 1, cores).mapInArrow(_import_modules, "id long").collect()

    threading.Thread(target=import_in_workers, name="headrace-warm-up", daemon=True).start()


def _import_modules(batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    import_tensorflow()
    import headrace.score.predicting  # noqa: F401

    yield from batches
