"""How Spark deals out rows for scoring, and its Python processes, made ready before they come."""

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from headrace.recipe import Recipe
from headrace.score.network import tensorflow
from headrace.source.types import SMALL_KINDS
from headrace.transform.spec import TransformSpec

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

_PARTS_A_CORE = 4


def tuned(spark: "SparkSession", spec: TransformSpec, recipe: Recipe) -> None:
    """How Spark deals rows out, where nobody has said otherwise.

    Some parts a core, so that none waits for another's large one: by default it makes one part a
    core, and files are not cut in mid row group (2 million rows in 12 files on 2 cores: 1.3 and 0.7
    million). And as many rows at once as are predicted at once, unless lists and images make them
    large.
    """
    chosen = {
        "spark.sql.files.minPartitionNum": _PARTS_A_CORE * spark.sparkContext.defaultParallelism
    }
    if SMALL_KINDS.issuperset(column.kind for column in spec.raw):
        chosen["spark.sql.execution.arrow.maxRecordsPerBatch"] = recipe.score.batch_rows
    given = {key for key, _ in spark.sparkContext.getConf().getAll()} | {*recipe.spark.conf}
    for key, value in chosen.items():
        if key not in given:
            spark.conf.set(key, str(value))


def warm_up(spark: "SparkSession") -> None:
    """Have Spark's Python processes import what they will need, beside what the driver does next.

    Importing TensorFlow takes them seconds, and until the first rows come they have nothing else to
    do (2 million rows on 2 cores: 36 s without, 33 s with).
    """
    cores = spark.sparkContext.defaultParallelism

    def work() -> None:
        with contextlib.suppress(Exception):  # whatever it is, scoring meets it and says so
            # As scoring does it: Spark keeps processes of other kinds of work apart.
            spark.range(0, cores, 1, cores).mapInArrow(_import, "id long").collect()

    threading.Thread(target=work, name="headrace-warm-up", daemon=True).start()


def _import(batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    tensorflow()
    import headrace.score.predicting  # noqa: F401

    yield from batches
