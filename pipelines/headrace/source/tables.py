"""Open the raw tables with the declared column types, and check that their columns can have them.

Nothing is computed here but what Spark needs to know the columns. How a format is read is in
`load.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.recipe import sections as s
from headrace.schema import Column, ColumnType, find_violations
from headrace.source.common_columns import CommonColumns
from headrace.source.internal_columns import FILE, POSITION, col, name_before_cast
from headrace.source.listing import Listing
from headrace.source.load import load_table, select_partitions
from headrace.source.needed_columns import NeededColumns
from headrace.source.raw_schema import RawSchema
from headrace.source.spark_errors import explain_spark_errors
from headrace.source.types import can_become, cast_column, list_castable_types, needs_check
from headrace.spark_engine.find_engine import find_engine

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType


# Types that a column without any value may be taken for, the likeliest first.
_EMPTY_TYPES = {
    ColumnType.STRING: "string", ColumnType.REAL: "double", ColumnType.INTEGER: "bigint",
    ColumnType.TIMESTAMP: "timestamp", ColumnType.BOOLEAN: "boolean", ColumnType.BINARY: "binary",
    ColumnType.STRINGS: "array<string>", ColumnType.REALS: "array<double>",
    ColumnType.INTEGERS: "array<bigint>",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TableColumns:
    """What is known of a table's columns before any row is read.

    Attributes:
        name: of the table in the recipe.
        where: path or catalog name, for messages.
        stored: its columns with the types that they are stored as.
        schema: its columns as they are read: cast to the declared types; beside a cast column that
            may lose values, its value as read; the text of malformed lines where the format can
            have them; and FILE where the table is made of files, and POSITION where rows can be
            found again in them.
        casts: columns that may have lost values -> declared type.
        partition_columns: those that are in no file.
        extra: columns that are there and not declared, where any is declared.
        problems: what is wrong with the declared columns.
        common: the columns of all files, where their footers are opened.
        spark_only: columns that only Spark reads right.
        empty: columns of another type than is needed, which hold no value and are taken as missing.
    """

    name: str
    where: str
    stored: RawSchema
    schema: RawSchema
    casts: Mapping[str, str]
    partition_columns: list[str]
    extra: list[str]
    problems: list[str]
    common: CommonColumns = field(default_factory=lambda: CommonColumns(()))
    spark_only: frozenset[str] = frozenset()
    empty: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RawTable(TableColumns):
    """A table of the lake, opened.

    Attributes:
        unfiltered: its rows before the table's `where`, with the columns of `stored`.
        frame: its rows, with the columns of `schema`.
    """

    unfiltered: "DataFrame"
    frame: "DataFrame"


def open_table(
    spark: "SparkSession",
    name: str,
    table: s.Table,
    needed: NeededColumns,
    listing: Listing | None,
    paths: list[str] | None = None,
) -> RawTable:
    """Open a table.

    Args:
        spark: the session.
        name: of the table in the recipe.
        table: the recipe's.
        needed: columns that the recipe uses.
        listing: the table's files; None where only Spark knows them.
        paths: of the listing, those that are read; the columns are those of the whole table. None
            for all files.

    Raises:
        LakeError: there is nothing, or no such format, or its metadata cannot be read.
    """
    import pyspark.sql.functions as F

    where = str(table.table or table.path)
    loaded = load_table(spark, name, table, needed, listing, paths)
    frame, partition_columns = loaded.frame, loaded.partition_columns
    if table.partitions:
        with explain_spark_errors(f"table {name!r} ({where})"):
            frame = select_partitions(frame, name, table.partitions)
    unfiltered, stored = frame, RawSchema.from_frame(frame)
    if table.where:
        with explain_spark_errors(f"source.tables.{name}.where ({table.where})"):
            frame = frame.where(table.where)
            find_engine(spark).resolve_plan(frame)
    types = stored.raw_types
    contract = [
        Column(c, list_castable_types(t), f"source.tables.{name}.columns")
        for c, t in table.columns.items()
    ]
    problems = [f"table {name!r}: {v}" for v in find_violations(contract, types)]
    castable = {c: t for c, t in table.columns.items() if c in types and can_become(types[c], t)}
    checked = {c: t for c, t in castable.items() if needs_check(types[c], t)}
    nested = {c for c in needed.types if c in types and _is_nested(stored.spark_types[c])}
    with explain_spark_errors(f"table {name!r} ({where})"):
        empty = _find_empty_columns(frame, stored, needed, table)
    columns = []
    for column in stored.names:
        if column in empty:
            columns.append(F.lit(None).cast(empty[column]).alias(column))
            continue
        if column in nested:  # an image as rows of pixels
            flat = _flatten_lists(column, stored.spark_types[column])
            columns += [flat.alias(column), col(column).alias(name_before_cast(column))]
            continue
        if column not in castable:
            columns.append(col(column))
            continue
        columns.append(cast_column(column, types[column], castable[column]).alias(column))
        if column in checked:
            columns.append(col(column).alias(name_before_cast(column)))
    if partition_columns is not None and not {FILE, "_metadata"} & {*stored.names}:
        columns.append(F.xxhash64(F.col("_metadata.file_path")).alias(FILE))
        if table.file_format == "parquet" and table.read_with != "spark":
            columns.append(F.col("_metadata.row_index").alias(POSITION))
    extra = sorted(set(types) - set(table.columns)) if table.columns else []
    frame = frame.select(*columns)
    return RawTable(
        name=name,
        where=where,
        unfiltered=unfiltered,
        stored=stored,
        frame=frame,
        schema=RawSchema.from_frame(frame),
        casts=checked,
        partition_columns=partition_columns or [],
        extra=extra,
        problems=problems,
        common=loaded.common or CommonColumns(()),
        spark_only=loaded.spark_only,
        empty=tuple(empty),
    )


def _find_empty_columns(
    frame: "DataFrame", stored: RawSchema, needed: NeededColumns, table: s.Table
) -> dict[str, str]:
    """Find columns whose type nobody accepts, and which hold nothing but null or NaN.

    A writer that sees no text of a day gives the column another type, such as double.

    Returns:
        column -> type of Spark that is accepted.
    """
    import pyspark.sql.functions as F

    types = stored.raw_types
    suspected = {
        column: accepted
        for column, accepted in needed.types.items()
        if column in types and types[column] not in accepted and column not in table.columns
        if any(kind in accepted for kind in _EMPTY_TYPES)
    }
    if not suspected:
        return {}
    marks = []
    for column in suspected:
        has_value = col(column).isNotNull()
        if types[column] is ColumnType.REAL:
            has_value = has_value & ~F.isnan(col(column).cast("double"))
        marks.append(F.max(has_value.cast("int")))
    (found,) = frame.select(*marks).collect()
    return {
        column: next(sql for kind, sql in _EMPTY_TYPES.items() if kind in accepted)
        for (column, accepted), value in zip(suspected.items(), found, strict=True)
        if not value
    }


def _is_nested(kind: "DataType") -> bool:
    """Return whether a column has lists of lists."""
    import pyspark.sql.types as T

    return isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.ArrayType)


def _flatten_lists(column: str, kind: "DataType") -> "SparkColumn":
    """Return a column of nested lists as one list each."""
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    flat = col(column)
    while isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.ArrayType):
        kind, flat = kind.elementType, F.flatten(flat)
    return flat
