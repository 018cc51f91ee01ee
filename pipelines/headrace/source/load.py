"""Load a raw table with Spark, whatever its format, before any condition or cast.

Files are opened so that a line that is no row is kept as such (CSV, JSON; `text_files.py`), and by
the columns that all of them have in common (Parquet, ORC; `common_columns.py`). Declared types and
the column contract are left to `tables.py`.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from headrace.errors import LakeError
from headrace.lake.file_columns import FileColumns, FileType, drop_columns
from headrace.recipe import sections as s
from headrace.recipe.spark_settings import format_setting
from headrace.source.catalog_table import load_catalog_table
from headrace.source.chosen_files import (
    ChosenFiles,
    choose_files,
    find_unequal_file,
    get_name_options,
    list_literal_urls,
)
from headrace.source.common_columns import CommonColumns, find_common_columns
from headrace.source.hadoop_files import list_by_spark
from headrace.source.listing import FILE_FORMATS, Listing
from headrace.source.load_errors import explain_load_errors
from headrace.source.logged_files import load_logged_files
from headrace.source.needed_columns import NeededColumns
from headrace.source.text_files import declare_texts, load_csv, load_json
from headrace.source.typed_files import (
    MAX_GROUPS,
    build_schema,
    choose_type,
    drop_differing_columns,
    group_files,
    note_folder_columns,
    read_group,
)
from headrace.spark_engine.find_engine import find_engine
from headrace.spark_engine.plan_text import filters_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameReader, SparkSession
    from pyspark.sql.types import StructType

# Options of Spark's readers that choose among the files of a table, in small letters.
_SELECTING_OPTIONS = {"pathglobfilter", "modifiedbefore", "modifiedafter"}
_NANOSECONDS = "spark.sql.legacy.parquet.nanosAsLong"
_NO_COLUMN = "`headrace` int"  # a schema that no footer is opened for


@dataclass(frozen=True)
class LoadedTable:
    """A table as Spark reads it.

    Attributes:
        frame: its rows; with FILE, and POSITION where it is known, where its files differ.
        partition_columns: columns that are in no file; None where a table is not its files.
        common: the columns of all files; None where their footers are not opened.
        spark_only: columns that only Spark reads right, of files that differ.
    """

    frame: "DataFrame"
    partition_columns: list[str] | None
    common: CommonColumns | None = None
    spark_only: frozenset[str] = frozenset()


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
    if unequal is not None and not _SELECTING_OPTIONS & {
        option.lower() for option in table.options
    }:
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
        frame = load_csv(spark, files, options, needed.all_names, texts)
    elif table.format == "json":
        try:
            frame, notes = load_json(spark, files, options, [*needed.types], texts)
        except LakeError as error:
            raise LakeError(f"table {name!r} ({table.path}): {error}") from None
        common = CommonColumns((), notes=tuple(notes))
        reader = spark.read.format(table.format).options(**options)
        names = _find_partition_columns(frame, reader, files.all, table)
        return LoadedTable(frame, names, common)
    elif listing is not None and table.format in ("parquet", "orc"):
        return _load_typed_files(spark, name, table, needed, listing, paths, files, options, texts)
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
    return LoadedTable(frame, _find_partition_columns(frame, reader, files.chosen, table))


def _load_typed_files(
    spark: "SparkSession",
    name: str,
    table: s.Table,
    needed: NeededColumns,
    listing: Listing,
    paths: Collection[str] | None,
    files: ChosenFiles,
    options: dict[str, Any],
    texts: Collection[str],
) -> LoadedTable:
    """Load files by the columns that all files of the table have in common."""
    import pyspark.sql.types as T

    reader = spark.read.format(table.format).options(**options)
    partitions = _find_folder_columns(reader, table, listing, files)
    schemas = _list_schemas(reader, name, table, listing, files)
    stored = [(drop_columns(columns, partitions), found) for columns, found in schemas]
    wanted = needed.all_names - {*partitions}
    try:
        common = find_common_columns(
            stored,
            wanted,
            table.columns,
            spelled=[*needed.types],
            nanoseconds=spark.conf.get(_NANOSECONDS, "false") == "true",
            needs_all=str(table.options.get("mergeSchema", "")).lower() == "false",
        )
    except LakeError as error:
        raise LakeError(f"table {name!r} ({table.path}): {error}") from None
    common = note_folder_columns(common, schemas, partitions)
    accepted = needed.types
    types = {c.name: choose_type(c, accepted.get(c.name, frozenset())) for c in common.columns}
    read = {*(listing.files if paths is None else paths)}
    chosen = [(columns, [p for p in found if p in read]) for columns, found in stored]
    chosen = [(columns, found) for columns, found in chosen if found]
    widens = not spark.version.startswith("3.")
    groups = group_files(chosen, common.columns, types, widens=widens)
    if len(groups) > MAX_GROUPS:
        common = drop_differing_columns(common, groups, wanted)
        types = {column.name: types[column.name] for column in common.columns}
        groups = group_files(chosen, common.columns, types, widens=widens)
    folder_texts = [T.StructField(text, T.StringType()) for text in sorted(texts)]
    frame = reader.schema(T.StructType([*build_schema(types), *folder_texts])).load(files.all)
    names = _find_partition_columns(frame, reader, files.all, table) or []
    if any(group.stored for group in groups):
        reader = reader.options(**get_name_options(listing))
        fields = [frame.schema[n] for n in names]
        parts = [
            read_group(
                reader.schema(T.StructType([*build_schema(types, group), *fields])).load(
                    list_literal_urls(listing, group.paths)
                ),
                group,
                types,
                [*types, *names],
                with_position=table.format == "parquet" and table.read_with != "spark",
            )
            for group in groups
        ]
        frame = reduce(lambda first, second: first.union(second), parts)
    elif files.chosen != files.all:
        frame = reader.schema(frame.schema).load(files.chosen)
    return LoadedTable(frame, names, common, _find_spark_only(common, types))


def _find_spark_only(common: CommonColumns, types: Mapping[str, FileType]) -> frozenset[str]:
    """Find the columns of which Arrow would make other values than Spark: padded texts, and
    decimals beside reals."""
    return frozenset(
        column.name
        for column in common.columns
        if "char" in column.kinds
        or (types[column.name] == "double" and any(str(k).startswith("dec") for k in column.kinds))
    )


def _find_folder_columns(
    reader: "DataFrameReader", table: s.Table, listing: Listing, files: ChosenFiles
) -> list[str]:
    """Find the columns that folders' names have, before any schema is known."""
    if str(table.options.get("recursiveFileLookup", "")).lower() == "true":
        return []
    if listing.root:
        return list(listing.get_values(next(iter(listing.files))))
    frame = reader.schema(_NO_COLUMN).load(files.all)
    return _find_partition_columns(frame, reader, files.all, table) or []


def _list_schemas(
    reader: "DataFrameReader", name: str, table: s.Table, listing: Listing, files: ChosenFiles
) -> list[tuple[FileColumns, list[str]]]:
    """List the columns of files, and the paths of those that have them.

    Raises:
        LakeError: a file's footer could not be read.
    """
    paths: Collection[str] = listing.files
    if _SELECTING_OPTIONS & {option.lower() for option in table.options}:
        urls = reader.schema(_NO_COLUMN).load(files.all).inputFiles()
        paths = [path for url in urls if (path := listing.find_url(str(url))) is not None]
    schemas, unknown = listing.group_by_columns(paths)
    if unknown:
        (url,) = listing.list_urls(unknown[:1])
        kind = {"parquet": "Parquet", "orc": "ORC"}[table.format]
        raise LakeError(
            f"table {name!r} ({table.path}): {url} is not a readable {kind} file; restore or "
            "remove it"
        )
    return schemas


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


def _find_partition_columns(
    frame: "DataFrame", reader: "DataFrameReader", files: str | list[str], table: s.Table
) -> list[str] | None:
    """Return the columns that are in no file; None where a table is not its files."""
    if table.format not in FILE_FORMATS or table.table:
        return None
    return find_engine(frame.sparkSession).find_partition_columns(frame, reader, files)


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
