"""Read the files of a table as the columns that they have in common, whatever each of them has.

Spark reads with an explicit schema. Files that it cannot read by the table's own are read in groups
of one schema each and cast; in most tables there is one group, and nothing is cast.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from headrace.lake.file_columns import FileColumns, FileType
from headrace.schema import ColumnType
from headrace.source.common_columns import CommonColumn, CommonColumns, show_paths
from headrace.source.internal_columns import FILE, POSITION, col

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType, StructType

MAX_GROUPS = 64
"""Groups of files of one schema; beyond them columns that nobody uses are not read."""
_EXACT = 2**53
_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
_NARROW = ("int8", "int16", "int32", "uint8", "uint16")
# In this order a column that is null in all files gets the first type that its users accept.
_NULL_TYPES: dict[ColumnType, FileType] = {
    ColumnType.INTEGER: "int64", ColumnType.REAL: "double", ColumnType.STRING: "string",
    ColumnType.BOOLEAN: "boolean", ColumnType.TIMESTAMP: "timestamp", ColumnType.BINARY: "binary",
    ColumnType.INTEGERS: {"list": "int64"}, ColumnType.REALS: {"list": "double"},
    ColumnType.STRINGS: {"list": "string"},
}  # fmt: skip


@dataclass(frozen=True)
class StoredColumn:
    """What a column of the table is in a group of files.

    Attributes:
        name: its name there; None where it is null in all of them.
        kind: the type that Spark reads it as.
    """

    name: str | None
    kind: FileType


@dataclass(frozen=True)
class FileGroup:
    """Files that are read alike.

    Attributes:
        paths: as the listing names them, in order.
        stored: column of the table -> what it is there; those that Spark reads as the table has
            them are left out.
    """

    paths: tuple[str, ...]
    stored: Mapping[str, StoredColumn]


def choose_type(column: CommonColumn, accepted: frozenset[ColumnType]) -> FileType:
    """Choose the type that a column has in the table: whole numbers of 64 bits, reals of 64.

    Args:
        column: of the files.
        accepted: types that all its users take, for a column without any value.
    """
    kind = column.kind
    if kind == "null":
        return next((k for t, k in _NULL_TYPES.items() if t in accepted), "int64")
    if kind == {"list": "null"}:  # no list has an element, as in pandas' empty ones
        lists = (k for t, k in _NULL_TYPES.items() if t in accepted and isinstance(k, dict))
        return next(lists, {"list": "int64"})
    if kind in _WHOLE or kind == "timestamp_ns":
        return "int64"
    if kind == "uint64":
        return "decimal(20,0)"
    return {"float": "double", "char": "string"}.get(kind, kind) if isinstance(kind, str) else kind


def note_folder_columns(
    common: CommonColumns,
    schemas: Collection[tuple[FileColumns, list[str]]],
    folders: Collection[str],
) -> CommonColumns:
    """Return the columns with a note of those that folders name and files have as well.

    Args:
        common: the columns of the files.
        schemas: columns, and the paths of files that have them.
        folders: columns of the folders' names.
    """
    files = {
        name: [p for c, paths in schemas if name in dict(c) for p in paths] for name in folders
    }
    notes = [
        f"column {name!r} is in {len(paths):,} files and in the names of their folders; the value "
        f"of the folder is read: {show_paths(paths)}"
        for name, paths in files.items()
        if paths
    ]
    return replace(common, notes=(*common.notes, *notes))


def group_files(
    schemas: Iterable[tuple[FileColumns, list[str]]],
    columns: Collection[CommonColumn],
    types: Mapping[str, FileType],
    *,
    widens: bool,
) -> list[FileGroup]:
    """Group files by what Spark has to be told of their columns.

    Args:
        schemas: columns, and the paths of files that have them; of those that are read.
        columns: of the table.
        types: column -> its type in the table.
        widens: whether Spark reads narrow numbers as wide ones by itself.
    """
    groups: dict[str, tuple[dict[str, StoredColumn], list[str]]] = {}
    for file, paths in schemas:
        stored = _find_stored(file, columns, types, widens)
        key = repr(sorted((name, c.name, repr(c.kind)) for name, c in stored.items()))
        groups.setdefault(key, (stored, []))[1].extend(paths)
    return [FileGroup(tuple(sorted(paths)), stored) for stored, paths in groups.values()]


def drop_differing_columns(
    common: CommonColumns, groups: Collection[FileGroup], wanted: Collection[str]
) -> CommonColumns:
    """Return the columns without those that nobody wants and that are not read alike everywhere."""
    differing = {name for group in groups for name in group.stored} - {*wanted}
    reason = f"differs among files that would have to be read in over {MAX_GROUPS} groups"
    return CommonColumns(
        tuple(column for column in common.columns if column.name not in differing),
        {**common.unread, **dict.fromkeys(sorted(differing), reason)},
        common.notes,
    )


def _find_stored(
    file: FileColumns,
    columns: Collection[CommonColumn],
    types: Mapping[str, FileType],
    widens: bool,
) -> dict[str, StoredColumn]:
    """Find the columns of a file that Spark does not read as the table has them."""
    kinds = dict(file)
    stored = {}
    for column in columns:
        name = next((name for name in column.spellings if name in kinds), None)
        if name is None:  # Spark reads nulls by itself
            continue
        kind = kinds[name]
        if kind == "null":
            stored[column.name] = StoredColumn(None, types[column.name])
        elif name != column.name or not _reads_as(kind, types[column.name], widens):
            stored[column.name] = StoredColumn(name, kind)
    return stored


def _reads_as(kind: FileType, wanted: FileType, widens: bool) -> bool:
    """Return whether Spark reads a type of a file as the one of the table."""
    if kind == wanted:
        return True
    if (kind, wanted) in (
        ("uint32", "int64"), ("timestamp_ns", "int64"), ("uint64", "decimal(20,0)"),
        ("binary", "string"),
    ):  # fmt: skip
        return True
    if wanted == "int64":
        return widens and kind in _NARROW
    if wanted == "double":
        return widens and kind in (*_NARROW, "float")
    if isinstance(kind, dict) and "struct" in kind and isinstance(wanted, dict):
        fields = dict(kind["struct"])
        return all(
            name not in fields or _reads_as(fields[name], k, widens) for name, k in wanted["struct"]
        )
    return False


def build_schema(types: Mapping[str, FileType], group: FileGroup | None = None) -> "StructType":
    """Return the schema by which Spark reads files, without partition columns.

    Args:
        types: column -> its type in the table.
        group: the files; None for those that are read as the table has them.
    """
    import pyspark.sql.types as T

    stored = group.stored if group else {}
    fields = []
    for name, kind in types.items():
        column = stored.get(name, StoredColumn(name, kind))
        if column.name is not None:
            read = _fill_structs(column.kind, kind)
            fields.append(T.StructField(column.name, to_spark_type(read), True))
    return T.StructType(fields)


def _fill_structs(kind: FileType, wanted: FileType) -> FileType:
    """Return a file's type with the fields that its structs lack, which Spark reads as nulls."""
    if not isinstance(kind, dict) or not isinstance(wanted, dict):
        return kind
    if "list" in kind:
        return {"list": _fill_structs(kind["list"], wanted["list"])}
    if "map" in kind:
        pairs = zip(kind["map"], wanted["map"], strict=True)
        return {"map": [_fill_structs(*pair) for pair in pairs]}
    fields = dict(kind["struct"])
    return {
        "struct": [
            [name, _fill_structs(fields[name], k) if name in fields else k]
            for name, k in wanted["struct"]
        ]
    }


def read_group(
    rows: "DataFrame",
    group: FileGroup,
    types: Mapping[str, FileType],
    columns: list[str],
    *,
    with_position: bool,
) -> "DataFrame":
    """Return the rows of a group as the table has them, with FILE and POSITION.

    Args:
        rows: of the group, by its own schema.
        group: the files.
        types: column -> its type in the table.
        columns: all columns of the table in order, partition columns included.
        with_position: whether rows get POSITION.
    """
    import pyspark.sql.functions as F

    selected = []
    for name in columns:
        stored = group.stored.get(name)
        if stored is None:
            selected.append(col(name))
        elif stored.name is None:
            selected.append(F.lit(None).cast(to_spark_type(types[name])).alias(name))
        else:
            cast = _cast_column(col(stored.name), stored.kind, types[name], name)
            selected.append(cast.alias(name))
    selected.append(F.xxhash64(F.col("_metadata.file_path")).alias(FILE))
    if with_position:
        selected.append(F.col("_metadata.row_index").alias(POSITION))
    return rows.select(*selected)


def _cast_column(column: "Column", kind: FileType, wanted: FileType, name: str) -> "Column":
    """Cast a column of a group; what would lose digits ends the job."""
    import pyspark.sql.functions as F

    if kind == "char":
        return F.rtrim(column)
    if kind == "int64" and wanted == "double":
        return F.when(column.between(-_EXACT, _EXACT), column.cast("double")).when(
            column.isNotNull(), _refuse_number(column, name)
        )
    if kind == {"list": "int64"} and wanted == {"list": "double"}:
        low, high = F.array_min(column), F.array_max(column)
        inexact = F.coalesce((low < -_EXACT) | (high > _EXACT), F.lit(False))
        shown = F.when(low < -_EXACT, low).otherwise(high)
        cast = column.cast("array<double>")
        return F.when(~inexact, cast).otherwise(F.array(_refuse_number(shown, name)))
    return column.cast(to_spark_type(wanted))


def _refuse_number(column: "Column", name: str) -> "Column":
    import pyspark.sql.functions as F

    text = F.format_string(
        "column %s of %s has the whole number %s, and real numbers in other files; a real number "
        "cannot hold it exactly (beyond 2^53). Rewrite one of the files",
        F.lit(name),
        F.col("_metadata.file_path"),
        column.cast("string"),
    )
    return F.raise_error(text).cast("double")


def to_spark_type(kind: FileType) -> "DataType":
    """Return the type that Spark reads a type of a file as."""
    import pyspark.sql.types as T

    words: dict[str, Any] = {
        # What Parquet has of a null is 32 bits, and Spark 3 reads it as no more.
        "null": T.IntegerType, "boolean": T.BooleanType, "int8": T.ByteType, "int16": T.ShortType,
        "int32": T.IntegerType, "int64": T.LongType, "uint8": T.ShortType,
        "uint16": T.IntegerType, "uint32": T.LongType, "timestamp_ns": T.LongType,
        "float": T.FloatType, "double": T.DoubleType, "date": T.DateType,
        "timestamp": T.TimestampType, "timestamp_ntz": T.TimestampNTZType,
        "string": T.StringType, "char": T.StringType, "binary": T.BinaryType,
    }  # fmt: skip
    if isinstance(kind, str):
        if kind == "uint64":
            return T.DecimalType(20, 0)
        if kind.startswith("decimal"):
            digits, scale = kind.removeprefix("decimal(").removesuffix(")").split(",")
            return T.DecimalType(int(digits), int(scale))
        return words[kind]()
    if "list" in kind:
        return T.ArrayType(to_spark_type(kind["list"]))
    if "map" in kind:
        key, value = kind["map"]
        return T.MapType(to_spark_type(key), to_spark_type(value))
    return T.StructType([T.StructField(n, to_spark_type(k)) for n, k in kind["struct"]])
