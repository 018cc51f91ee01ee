"""Which files a table's `partitions` leaves out, so that a build knows its lake without them.

Were they listed, a condition that moves on with the calendar would find the partitions of a build
before, empty and unchanged, and their rows would never be read.
"""

from typing import TYPE_CHECKING

from headrace.recipe import Recipe
from headrace.source.internal_columns import col
from headrace.source.listing import FILE_FORMATS, Listing, folder_of, folder_values
from headrace.source.spark_errors import explained
from headrace.source.tables import load, partition_columns_of, pruned

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FOLDER = "__headrace_folder"


def can_prune(recipe: Recipe) -> bool:
    """Whether the main table has a condition on partitions, and files to ask it of."""
    table = recipe.source.tables[recipe.source.main]
    if not table.partitions or not table.path or table.format not in FILE_FORMATS:
        return False
    return not any(c in table.path for c in "*?[{")


def folders_left_out(spark: "SparkSession", recipe: Recipe, listing: Listing) -> frozenset[str]:
    """Folders, relative to the main table's root, in which no file is read.

    The condition is asked of the folders' values alone, as Spark types them; no file is read.

    Args:
        recipe: one that `can_prune`.
        listing: of the main table.

    Raises:
        LakeError: the condition cannot be understood, or is not about partition columns alone.
    """
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    name = recipe.source.main
    table = recipe.source.tables[name]
    assert table.partitions
    frame = load(spark, name, table, str(table.path), [], None)
    columns = partition_columns_of(frame, table) or []
    folders = sorted({folder_of(path) for path in listing.files})
    with explained(f"table {name!r} ({table.path})"):
        pruned(frame, name, table.partitions)
        values = [(folder, folder_values(folder)) for folder in folders]
        rows = [(folder, *(found.get(c) for c in columns)) for folder, found in values]
        texts = T.StructType([T.StructField(n, T.StringType()) for n in (_FOLDER, *columns)])
        typed = spark.createDataFrame(rows, texts).select(
            _FOLDER, *(col(c).cast(frame.schema[c].dataType).alias(c) for c in columns)
        )
        read = {row[0] for row in typed.where(F.expr(table.partitions)).select(_FOLDER).collect()}
    return frozenset(folders) - read
