"""Load Parquet and ORC files with Spark by the columns that all files of a table have in common."""

from collections.abc import Collection, Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any

from headrace.errors import LakeError
from headrace.lake.file_columns import FileColumns, FileType, drop_columns
from headrace.recipe import sections as s
from headrace.source.chosen_files import ChosenFiles, get_name_options, list_literal_urls
from headrace.source.common_columns import CommonColumns, find_common_columns
from headrace.source.listing import Listing
from headrace.source.load_errors import name_table
from headrace.source.loaded_table import SELECTING_OPTIONS, LoadedTable, find_partition_columns
from headrace.source.needed_columns import NeededColumns
from headrace.source.typed_files import (
    MAX_GROUPS,
    build_schema,
    choose_type,
    drop_differing_columns,
    group_files,
    note_folder_columns,
    read_group,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrameReader, SparkSession

_NANOSECONDS = "spark.sql.legacy.parquet.nanosAsLong"
_NO_COLUMN = "`headrace` int"  # a schema that no footer is opened for


def load_typed_files(
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
    with name_table(name, table):
        common = find_common_columns(
            stored,
            wanted,
            table.columns,
            spelled=[*needed.types],
            nanoseconds=spark.conf.get(_NANOSECONDS, "false") == "true",
            needs_all=str(table.options.get("mergeSchema", "")).lower() == "false",
        )
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
    names = find_partition_columns(frame, reader, files.all, table) or []
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
    return find_partition_columns(frame, reader, files.all, table) or []


def _list_schemas(
    reader: "DataFrameReader", name: str, table: s.Table, listing: Listing, files: ChosenFiles
) -> list[tuple[FileColumns, list[str]]]:
    """List the columns of files, and the paths of those that have them.

    Raises:
        LakeError: a file's footer could not be read.
    """
    paths: Collection[str] = listing.files
    if SELECTING_OPTIONS & {option.lower() for option in table.options}:
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
