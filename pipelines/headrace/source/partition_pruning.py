"""Find the folders that a table's `partitions` leaves out, so that a build lists without them.

Were they listed, a condition that moves on with the calendar would find the partitions of a build
before, empty and unchanged, and their rows would never be read.
"""

from typing import TYPE_CHECKING

from headrace.recipe import Recipe
from headrace.source.internal_columns import FOLDER, col
from headrace.source.listing import Listing, parse_folder_values
from headrace.source.load import load_table, select_partitions
from headrace.source.needed_columns import NeededColumns
from headrace.source.spark_errors import explain_spark_errors

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def can_prune(recipe: Recipe) -> bool:
    """Return whether the main table has a condition on partitions, and files that it selects."""
    table = recipe.source.tables[recipe.source.main]
    return bool(table.partitions and table.path)


def find_pruned_folders(spark: "SparkSession", recipe: Recipe, listing: Listing) -> frozenset[str]:
    """Find the folders, relative to the main table's root, whose files the condition leaves out.

    The condition is evaluated on the folders' values alone, as Spark types them; no file is read.

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
    loaded = load_table(spark, name, table, NeededColumns({}), listing)
    frame, columns = loaded.frame, loaded.partition_columns or []
    folders = sorted({listing.get_folder(path) for path in listing.files})
    with explain_spark_errors(f"table {name!r} ({table.path})"):
        select_partitions(frame, name, table.partitions)
        values = [(folder, parse_folder_values(folder)) for folder in folders]
        rows = [(folder, *(parsed.get(c) for c in columns)) for folder, parsed in values]
        texts = T.StructType([T.StructField(n, T.StringType()) for n in (FOLDER, *columns)])
        typed = spark.createDataFrame(rows, texts).select(
            FOLDER, *(col(c).cast(frame.schema[c].dataType).alias(c) for c in columns)
        )
        selected = {
            row[0] for row in typed.where(F.expr(table.partitions)).select(FOLDER).collect()
        }
    return frozenset(folders) - selected
