"""Load a raw table with Spark, whatever its format, before any condition or cast.

Files are opened so that a line that is no row is kept as such (CSV, JSON; `text_files.py`), and by
the columns that all of them have in common (Parquet, ORC; `common_columns.py`). Declared types and
the column contract are left to `tables.py`.
"""

from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from headrace.errors import LakeError
from headrace.recipe import sections as s
from headrace.recipe.spark_settings import format_setting
from headrace.source.catalog_table import load_catalog_table
from headrace.source.chosen_files import (
    ChosenFiles,
    choose_files,
    find_unequal_file,
)
from headrace.source.common_columns import CommonColumns
from headrace.source.hadoop_files import list_by_spark
from headrace.source.listing import Listing
from headrace.source.load_errors import explain_load_errors, name_table
from headrace.source.load_typed_files import load_typed_files
from headrace.source.loaded_table import SELECTING_OPTIONS, LoadedTable, find_partition_columns
from headrace.source.logged_files import load_logged_files
from headrace.source.needed_columns import NeededColumns
from headrace.source.text_files import declare_texts, load_csv, load_json
from headrace.spark_engine.find_engine import find_engine
from headrace.spark_engine.plan_text import filters_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType


def load_table(
    spark: "SparkSession",
    name: str,
    table: s.Table,
    needed: NeededColumns,
    listing: Listing | None,
    paths: Collection[str] | None = None,
) -> LoadedTable:
    """Load a table as Spark reads it: the files of its listing, each of them and no other.

    Args:
        name: of the table in the recipe.
        table: the recipe's.
        needed: columns that the recipe uses; JSON files are searched for them, and files of other
            formats must have them in types that one type can hold.
        listing: the table's files; None where only Spark knows them.
        paths: of the listing, those that are read; None for all. The columns are those of all.

    Raises:
        LakeError: there is nothing, or no such format, or its metadata cannot be read; or Spark
            reads other files than were listed; or files have types that no common type holds.
    """
    where = str(table.table or table.path)
    expected = list_by_spark(spark, name, table) if listing is None else listing
    place = find_engine(spark).resolve_path(where) if table.path else where
    _forget_cached_rows(spark, table, place)
    if table.table:
        with explain_load_errors(name, table, where):
            return LoadedTable(load_catalog_table(spark, name, table.table), None)
    *first_ways, last_way = choose_files(place, expected, paths)
    for files in first_ways:
        with suppress(Exception):  # what is wrong is said by the last way
            loaded = _load_files(spark, name, table, needed, listing, paths, files)
            if expected is None or find_unequal_file(loaded.frame, expected, paths) is None:
                return loaded
    with explain_load_errors(name, table, where):
        loaded = _load_files(spark, name, table, needed, listing, paths, last_way)
        find_engine(spark).resolve_plan(loaded.frame)
        unequal = find_unequal_file(loaded.frame, expected, paths) if expected is not None else None
    if unequal is not None and not SELECTING_OPTIONS & {option.lower() for option in table.options}:
        raise LakeError(f"table {name!r} ({where}): {unequal}; nothing was read")
    return loaded


def _forget_cached_rows(spark: "SparkSession", table: s.Table, where: str) -> None:
    """Have Spark read the files: it would take rows that a program of the session has cached for
    this path for those that lie there now."""
    from pyspark.errors import AnalysisException

    with suppress(AnalysisException):  # there is no such table; who reads it says so
        if table.table:
            spark.catalog.refreshTable(where)
        else:
            spark.catalog.refreshByPath(where)


def _load_files(
    spark: "SparkSession",
    name: str,
    table: s.Table,
    needed: NeededColumns,
    listing: Listing | None,
    paths: Collection[str] | None,
    files: ChosenFiles,
) -> LoadedTable:
    if listing is not None and listing.is_snapshot:
        assert listing.log is not None
        frame = load_logged_files(spark, table, listing, files)
        unread = {c: why for c, why in listing.log.unread.items() if c not in needed.all_names}
        if missing := sorted(listing.log.unread.keys() - unread.keys()):
            why = listing.log.unread[missing[0]]
            raise LakeError(
                f"table {name!r} ({table.path}): column {missing[0]!r} {why}, which is not read"
            )
        common = CommonColumns((), unread)
        return LoadedTable(frame, list(listing.log.partition_columns), common)
    own_options = {k: format_setting(v) for k, v in table.options.items()}
    options: dict[str, Any] = {**files.options, **own_options}
    # The text of a folder is read by the declared type; Spark would guess 1234 for zip=01234.
    path = next(iter(listing.files)) if listing is not None else ""
    folders = set(listing.get_values(path)) if listing is not None else set()
    texts = folders & set(table.columns)
    if table.format == "csv":
        with name_table(name, table):
            frame = load_csv(spark, files, options, needed.all_names, texts)
    elif table.format == "json":
        with name_table(name, table):
            frame, notes = load_json(spark, files, options, [*needed.types], texts)
        common = CommonColumns((), notes=tuple(notes))
        reader = spark.read.format(table.format).options(**options)
        names = find_partition_columns(frame, reader, files.all, table)
        return LoadedTable(frame, names, common)
    elif listing is not None and table.format in ("parquet", "orc"):
        return load_typed_files(spark, name, table, needed, listing, paths, files, options, texts)
    else:
        if table.version_as_of is not None:
            options["versionAsOf"] = str(table.version_as_of)
        if table.timestamp_as_of is not None:
            options["timestampAsOf"] = table.timestamp_as_of
        frame = spark.read.format(table.format).options(**options).load(files.all)
        schema = declare_texts(_widen_numbers(frame), texts)
        if table.format in ("parquet", "orc") and schema != frame.schema:
            reader = spark.read.format(table.format).options(**options)
            frame = reader.schema(schema).load(files.chosen)
    reader = spark.read.format(table.format).options(**options)
    return LoadedTable(frame, find_partition_columns(frame, reader, files.chosen, table))


def _widen_numbers(frame: "DataFrame") -> "StructType":
    """Return the schema with 64-bit numbers: files of one table may differ in width then.

    Spark 3 reads a file in its own width only, so its schema stays.
    """
    import pyspark.sql.types as T

    if frame.sparkSession.version.startswith("3."):
        return frame.schema
    wide: dict[type[T.DataType], T.DataType] = {
        T.ByteType: T.LongType(), T.ShortType: T.LongType(), T.IntegerType: T.LongType(),
        T.FloatType: T.DoubleType(),
    }  # fmt: skip
    if not any(type(f.dataType) in wide for f in frame.schema.fields):
        return frame.schema
    fields = [
        T.StructField(f.name, wide.get(type(f.dataType), f.dataType), True)
        for f in frame.schema.fields
    ]
    return T.StructType(fields)


def select_partitions(frame: "DataFrame", name: str, condition: str) -> "DataFrame":
    """Select the partitions where a condition holds.

    Raises:
        LakeError: the condition is on other columns as well, and would hide rows.
    """
    import pyspark.sql.functions as F

    selected = frame.where(F.expr(condition))
    # Spark plans conditions on partition columns into the scan's list of files; a Filter above the
    # scan is one on rows.
    if filters_rows(find_engine(frame.sparkSession).describe_plan(selected)):
        raise LakeError(
            f"source.tables.{name}.partitions ({condition}) uses columns that are no partition "
            "columns, so rows would be left out before the ledger counts them; use "
            f"source.tables.{name}.where to filter rows"
        )
    return selected
