"""Load the files that the log of a Delta or Iceberg table names, with its columns and values.

Spark reads them as Parquet, without a JAR. Where folders are named by the values, as most
writers do, Spark takes the values from there; else they are joined to the rows by their file.
"""

import json
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.errors import LakeError
from headrace.recipe import sections as s
from headrace.recipe.spark_settings import format_setting
from headrace.source.chosen_files import ChosenFiles
from headrace.source.internal_columns import FILE, POSITION, col
from headrace.source.listing import Listing, get_folder, parse_folder_values

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType


def load_logged_files(
    spark: "SparkSession", table: s.Table, listing: Listing, files: ChosenFiles
) -> "DataFrame":
    """Load files of a table with a log.

    Args:
        table: the recipe's, for the reader's options.
        listing: of the whole table.
        files: those that are read, by name.

    Raises:
        LakeError: a file lacks a column that only its partition's values tell.
    """
    import pyspark.sql.types as T

    log = listing.log
    assert log is not None
    _refuse_missing_values(listing)
    schema = T.StructType.fromJson(json.loads(log.schema))
    for item in schema.fields:  # a new column is null in older files, whatever the log says
        item.nullable = True
    options = {k: format_setting(v) for k, v in table.options.items()} | dict(files.options)
    if not log.partition_columns or _are_in_folders(listing):
        return spark.read.schema(schema).options(**options).parquet(*files.chosen)
    options.pop("basePath", None)
    stored = [item for item in schema.fields if item.name not in log.partition_columns]
    rows = spark.read.schema(T.StructType(stored)).options(**options).parquet(*files.chosen)
    return _join_values(spark, rows, table, listing, schema)


def _refuse_missing_values(listing: Listing) -> None:
    """Refuse files without a column that they are partitioned by, where others are not."""
    assert listing.log is not None
    for path, file in listing.files.items():
        lacking = {*listing.get_values(path)} - {*listing.log.partition_columns}
        columns = listing.schemas.get(file.columns or "", ())
        if lacking := lacking - {column for column, _ in columns}:
            raise LakeError(
                f"{listing.root}: {path} has no column {min(lacking)}, by which it is partitioned, "
                "and other files of the table are partitioned otherwise; write the table once more"
            )


def _are_in_folders(listing: Listing) -> bool:
    """Return whether the folders of all files name their values, in the order of the log."""
    columns = list(listing.log.partition_columns) if listing.log else []
    return all(
        not path.startswith("/")
        and "://" not in path
        and [*parse_folder_values(get_folder(path)).items()]
        == [(column, listing.get_values(path)[column]) for column in columns]
        for path in listing.files
    )


def _join_values(
    spark: "SparkSession",
    rows: "DataFrame",
    table: s.Table,
    listing: Listing,
    schema: "StructType",
) -> "DataFrame":
    """Join the log's values to rows; they keep FILE and POSITION, which a join would hide."""
    import pyspark.sql.functions as F

    from headrace.source.partition_index import find_files_by_hash

    assert listing.log is not None
    columns = listing.log.partition_columns
    values = []
    for hashed, url in find_files_by_hash(rows).items():
        path = listing.find_url(url)
        if path is not None:
            values.append((hashed, *(listing.get_values(path)[c] for c in columns)))
    arrays = [pa.array(array) for array in zip(*values, strict=True)]
    names = [FILE, *columns]
    types = ", ".join(f"`{name}` string" for name in columns)
    if spark.version.startswith("3."):
        by_file = spark.createDataFrame(values, f"{FILE} bigint, {types}")
    else:
        by_file = spark.createDataFrame(
            pa.table([arrays[0], *(a.cast(pa.string()) for a in arrays[1:])], names=names)
        )
    typed = by_file.select(FILE, *(col(c).cast(schema[c].dataType).alias(c) for c in columns))
    located = [F.xxhash64(F.col("_metadata.file_path")).alias(FILE)]
    if table.read_with != "spark":
        located.append(F.col("_metadata.row_index").alias(POSITION))
    joined = rows.select("*", *located).join(F.broadcast(typed), on=FILE, how="left")
    names = [item.name for item in schema.fields]
    return joined.select(*(col(c) for c in names), *(c for c in joined.columns if c not in names))
