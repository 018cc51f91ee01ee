"""Open the raw tables, whatever their format, with the declared column types.

Files are opened so that a line that is no row is kept as such (CSV, JSON), and narrow numbers are
read as wide ones, so that a source partition with a wider type does not break the rest. Nothing is
computed here but what Spark needs to know the columns.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import LakeError
from headrace.recipe import sections as s
from headrace.schema import Column, ColumnType, violations
from headrace.source.internal_columns import FILE, MALFORMED, POSITION, as_read, col, ours
from headrace.source.listing import FILE_FORMATS
from headrace.source.spark_errors import explained
from headrace.source.types import can_become, cast, column_types, needs_check, wanted_from

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructField, StructType

_SAMPLE_LINES = 1000  # of JSON, to learn its columns


@dataclass(frozen=True)
class RawTable:
    """A table of the lake, opened.

    Attributes:
        name: in the recipe.
        where: path or catalog name, for messages.
        everything: its rows before the table's `where`.
        frame: its columns, cast to the declared types; beside a cast column that may lose values,
            its value as read; the text of malformed lines where the format can have them; and
            FILE where the table is made of files, and POSITION where rows can be found again in
            them.
        casts: columns that may have lost values -> declared type.
        partition_columns: those that are in no file.
        extra: columns that are there and not declared, where any is declared.
        problems: what is wrong with the declared columns.
    """

    name: str
    where: str
    everything: "DataFrame"
    frame: "DataFrame"
    casts: Mapping[str, str]
    partition_columns: list[str]
    extra: list[str]
    problems: list[str]

    @property
    def types(self) -> dict[str, ColumnType]:
        """Types after casting, ours left out."""
        return {n: t for n, t in column_types(self.frame).items() if not ours(n)}


def open_table(
    spark: "SparkSession",
    name: str,
    table: s.Table,
    wanted: list[str],
    urls: list[str] | None = None,
) -> RawTable:
    """Open a table.

    Args:
        wanted: columns that the recipe uses; JSON files are searched for them.
        urls: files that are read; the columns are those of the whole table. None for all files.

    Raises:
        LakeError: there is nothing, or no such format, or its metadata cannot be read.
    """
    import pyspark.sql.functions as F

    where = str(table.table or table.path)
    frame = load(spark, name, table, where, wanted, urls)
    partition_columns = partition_columns_of(frame, table)
    if table.partitions:
        with explained(f"table {name!r} ({where})"):
            frame = pruned(frame, name, table.partitions)
    everything = frame
    if table.where:
        with explained(f"source.tables.{name}.where ({table.where})"):
            frame = frame.where(table.where)
    found = {n: t for n, t in column_types(frame).items() if not ours(n)}
    contract = [
        Column(c, wanted_from(t), f"source.tables.{name}.columns") for c, t in table.columns.items()
    ]
    problems = [f"table {name!r}: {v}" for v in violations(contract, found)]
    castable = {c: t for c, t in table.columns.items() if c in found and can_become(found[c], t)}
    checked = {c: t for c, t in castable.items() if needs_check(found[c], t)}
    nested = [c for c in wanted if c in found and _is_nested(frame, c)]
    columns = []
    for column in frame.columns:
        if column in nested:  # an image as rows of pixels
            columns += [_flat(frame, column).alias(column), col(column).alias(as_read(column))]
            continue
        if column not in castable:
            columns.append(col(column))
            continue
        columns.append(cast(column, found[column], castable[column]).alias(column))
        if column in checked:
            columns.append(col(column).alias(as_read(column)))
    if partition_columns is not None and "_metadata" not in frame.columns:
        columns.append(F.xxhash64(F.col("_metadata.file_path")).alias(FILE))
        if table.format == "parquet" and table.read_with != "spark":
            columns.append(F.col("_metadata.row_index").alias(POSITION))
    extra = sorted(set(found) - set(table.columns)) if table.columns else []
    return RawTable(
        name=name,
        where=where,
        everything=everything,
        frame=frame.select(*columns),
        casts=checked,
        partition_columns=partition_columns or [],
        extra=extra,
        problems=problems,
    )


def partition_columns_of(frame: "DataFrame", table: s.Table) -> list[str] | None:
    """Columns that come from the folders' names; None where the table is not its files."""
    if table.format not in FILE_FORMATS or table.table:
        return None
    relation = frame._jdf.queryExecution().analyzed()
    try:
        return list(relation.relation().partitionSchema().fieldNames())
    except Exception:  # py4j: not a relation of files
        return None


def load(
    spark: "SparkSession",
    name: str,
    table: s.Table,
    where: str,
    wanted: list[str],
    urls: list[str] | None,
) -> "DataFrame":
    """The table as Spark reads it, before anything is asked of it."""
    from pyspark.errors import AnalysisException

    try:
        if table.table:
            return spark.read.table(table.table)
        options: dict[str, Any] = {
            k: str(v).lower() if isinstance(v, bool) else v for k, v in table.options.items()
        }
        chosen = urls or where
        if urls:  # partition columns are those of the whole table
            options.setdefault("basePath", where)
        if table.format == "csv":
            return _csv(spark, where, chosen, options)
        if table.format == "json":
            return _json(spark, where, chosen, options, wanted)
        frame = spark.read.format(table.format).options(**options).load(where)
        wide = _widened(frame)
        if table.format not in ("parquet", "orc") or (wide is None and not urls):
            return frame
        reader = spark.read.format(table.format).options(**options)
        return reader.schema(wide or frame.schema).load(chosen)
    except AnalysisException as error:
        raise LakeError(_why(name, table, where, error)) from None
    except Exception as error:
        if "DATA_SOURCE_NOT_FOUND" in str(error):
            raise LakeError(_no_format(name, table)) from None
        with explained(f"table {name!r} ({where})"):
            raise
        raise


def _why(name: str, table: s.Table, where: str, error: Exception) -> str:
    condition = getattr(error, "getCondition", getattr(error, "getErrorClass", str))() or ""
    if condition == "PATH_NOT_FOUND":
        return (
            f"table {name!r}: there is nothing at {where}; "
            f"check source.tables.{name}.path (and `lake`)"
        )
    if condition == "UNABLE_TO_INFER_SCHEMA":
        return f"table {name!r}: {where} holds no {table.format} file, so it has no columns"
    if condition == "TABLE_OR_VIEW_NOT_FOUND":
        return (
            f"table {name!r}: Spark's catalog has no table {where}; "
            f"check source.tables.{name}.table"
        )
    if condition == "COLUMN_ALREADY_EXISTS":
        return f"table {name!r} ({where}) has two columns of one name: {_first(error)}"
    return f"table {name!r} ({where}): {_first(error)}"


def _no_format(name: str, table: s.Table) -> str:
    return (
        f"table {name!r}: this Spark cannot read {table.format}; put its JAR on the cluster "
        f"(spark.jars.packages) or choose another source.tables.{name}.format"
    )


def _first(error: Exception) -> str:
    from headrace.source.spark_errors import sentence

    return sentence(str(error))


def _csv(
    spark: "SparkSession", path: str, chosen_files: str | list[str], options: dict[str, Any]
) -> "DataFrame":
    import pyspark.sql.types as T

    # Headers are compared file by file, and a line with too many or too few fields is kept as text.
    chosen = {"header": "true", "enforceSchema": "false", "columnPruning": "false", **options}
    header = spark.read.options(**chosen).csv(path)
    fields = [*header.schema.fields, T.StructField(MALFORMED, T.StringType())]
    reader = spark.read.schema(T.StructType(fields)).options(**chosen)
    return reader.option("columnNameOfCorruptRecord", MALFORMED).csv(chosen_files)


def _json(
    spark: "SparkSession",
    path: str,
    chosen_files: str | list[str],
    options: dict[str, Any],
    wanted: list[str],
) -> "DataFrame":
    import pyspark.sql.types as T

    lines = spark.read.text(path)
    parts = lines.schema.fields[1:]  # partition columns
    fields = {
        f.name: f for f in _json_fields([row[0] for row in lines.limit(_SAMPLE_LINES).collect()])
    }
    known = {*fields, *(f.name for f in parts)}
    if not set(wanted) <= known:  # rare columns: look through everything once
        inferred = spark.read.options(**options).option("primitivesAsString", "true").json(path)
        for field in inferred.schema.fields:
            if field.name not in known:
                fields[field.name] = field
    chosen = [*fields.values(), T.StructField(MALFORMED, T.StringType()), *parts]
    reader = spark.read.schema(T.StructType(chosen)).options(**options)
    return reader.option("columnNameOfCorruptRecord", MALFORMED).json(chosen_files)


def _json_fields(lines: list[str]) -> "list[StructField]":
    """Columns of JSON lines: texts, and lists (of lists) of texts."""
    import pyspark.sql.types as T

    depths: dict[str, int] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if not isinstance(record, dict):
            continue
        for name, value in record.items():
            depths[name] = max(depths.get(name, 0), _depth(value))
    fields = []
    for name, depth in depths.items():
        kind: T.DataType = T.StringType()
        for _ in range(depth):
            kind = T.ArrayType(kind)
        fields.append(T.StructField(name, kind))
    return fields


def _depth(value: object) -> int:
    if not isinstance(value, list):
        return 0
    return 1 + (_depth(value[0]) if value else 0)


def _is_nested(frame: "DataFrame", column: str) -> bool:
    import pyspark.sql.types as T

    kind = frame.schema[column].dataType
    return isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.ArrayType)


def _flat(frame: "DataFrame", column: str) -> "SparkColumn":
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    kind, flat = frame.schema[column].dataType, col(column)
    while isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.ArrayType):
        kind, flat = kind.elementType, F.flatten(flat)
    return flat


def _widened(frame: "DataFrame") -> "StructType | None":
    """The schema with 64-bit numbers, or None where it has none narrower.

    Files of one table may differ in width then. Spark 3 reads a file in its own width only.
    """
    import pyspark.sql.types as T

    if frame.sparkSession.version.startswith("3."):
        return None
    wide: dict[type[T.DataType], T.DataType] = {
        T.ByteType: T.LongType(), T.ShortType: T.LongType(), T.IntegerType: T.LongType(),
        T.FloatType: T.DoubleType(),
    }  # fmt: skip
    fields = [
        T.StructField(f.name, wide.get(type(f.dataType), f.dataType), True)
        for f in frame.schema.fields
    ]
    changed = any(type(f.dataType) in wide for f in frame.schema.fields)
    return T.StructType(fields) if changed else None


def pruned(frame: "DataFrame", name: str, condition: str) -> "DataFrame":
    """The partitions where `condition` holds; a condition on other columns would hide rows."""
    import pyspark.sql.functions as F

    rest = frame.where(F.expr(condition))
    # Spark plans conditions on partition columns into the scan's list of files; a Filter above the
    # scan is one on rows.
    plan = rest._jdf.queryExecution().sparkPlan().toString()
    if any(line.lstrip(" :+-").startswith("Filter ") for line in plan.splitlines()):
        raise LakeError(
            f"source.tables.{name}.partitions ({condition}) uses columns that are no partition "
            "columns, so rows would be left out that the ledger never saw; use "
            f"source.tables.{name}.where to filter rows"
        )
    return rest
