"""Load CSV and JSON files with Spark: columns as texts, and every line that is no row kept."""

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from headrace.errors import LakeError
from headrace.recipe.spark_settings import format_setting
from headrace.source.chosen_files import ChosenFiles
from headrace.source.internal_columns import MALFORMED, col

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructField, StructType

_SAMPLE_LINES = 1000  # of JSON, to learn its columns


def declare_texts(schema: "StructType", names: Collection[str]) -> "StructType":
    """Return a schema with some columns as texts."""
    import pyspark.sql.types as T

    fields = [T.StructField(f.name, T.StringType()) if f.name in names else f for f in schema]
    return T.StructType(fields)


def load_csv(
    spark: "SparkSession",
    files: ChosenFiles,
    options: dict[str, Any],
    needed: Collection[str],
    texts: Collection[str],
) -> "DataFrame":
    """Load CSV files.

    Args:
        spark: the session.
        files: what decides on columns, and what is read.
        options: of Spark's reader.
        needed: columns that are looked at for texts that were read wrong.
        texts: partition columns that are read as texts.
    """
    import pyspark.sql.types as T

    # Headers are compared file by file, and a line with too many or too few fields is kept as text.
    # A quote within quotes is written twice, as RFC 4180 says and nearly all writers do.
    settings = {"header": "true", "enforceSchema": "false", "columnPruning": "false"}
    own = {key.lower(): value for key, value in options.items()}
    quote = str(own.get("quote", '"'))
    settings |= ({} if "escape" in own or not quote else {"escape": quote}) | options
    header = spark.read.options(**settings).csv(files.all)
    fields = [*declare_texts(header.schema, texts), T.StructField(MALFORMED, T.StringType())]
    reader = spark.read.schema(T.StructType(fields)).options(**settings)
    rows = reader.option("columnNameOfCorruptRecord", MALFORMED).csv(files.chosen)
    names = [f.name for f in header.schema.fields if f.name in needed and f.name not in texts]
    return _mark_doubtful(rows, names, own, quote)


def _mark_doubtful(
    rows: "DataFrame", names: Collection[str], options: Collection[str], quote: str
) -> "DataFrame":
    """Mark rows as malformed whose texts were read wrong: bytes that are no UTF-8, a quote after a
    backslash. Who says `encoding` or `escape` knows better."""
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    reasons = []
    for name in names:
        if not isinstance(rows.schema[name].dataType, T.StringType):
            continue
        if not {"encoding", "charset"} & {*options}:
            said = f"{name} is no UTF-8 (if the file has another encoding, set options.encoding): "
            doubtful = F.contains(col(name), F.lit("\ufffd"))
            reasons.append(F.when(doubtful, F.concat(F.lit(said), col(name))))
        if "escape" not in options and quote:
            said = f"{name} has a quote after a backslash (set options.escape to a backslash): "
            begins = F.startswith(col(name), F.lit(quote))
            doubtful = begins & F.contains(col(name), F.lit(f"\\{quote}"))
            reasons.append(F.when(doubtful, F.concat(F.lit(said), col(name))))
    if not reasons:
        return rows
    marked = F.coalesce(col(MALFORMED), *reasons).alias(MALFORMED)
    return rows.select(*(marked if n == MALFORMED else col(n) for n in rows.columns))


def load_json(
    spark: "SparkSession",
    files: ChosenFiles,
    options: dict[str, Any],
    needed: Collection[str],
    texts: Collection[str],
) -> "tuple[DataFrame, list[str]]":
    """Load JSON files, one object a line.

    Args:
        spark: the session.
        files: what decides on columns, and what is read.
        options: of Spark's reader.
        needed: columns; where the first lines lack one, all are looked through.
        texts: partition columns that are read as texts.

    Returns:
        the rows, and what a reader should know of their files.

    Raises:
        LakeError: one of the first lines has several objects.
    """
    import pyspark.sql.types as T

    lines = spark.read.options(**options).text(files.all)
    parts = declare_texts(lines.schema, texts).fields[1:]  # partition columns
    sample = [row[0] for row in lines.limit(_SAMPLE_LINES).collect()]
    first_lines = sample
    if files.chosen != files.all:
        chosen_lines = spark.read.options(**options).text(files.chosen)
        first_lines = [row[0] for row in chosen_lines.limit(_SAMPLE_LINES).collect()]
    if format_setting(options.get("multiLine", False)).lower() != "true":
        _refuse_several_objects(first_lines)
    fields = {f.name: f for f in _infer_json_fields(sample)}
    names = {*fields, *(f.name for f in parts)}
    if not {*needed} <= names:  # rare columns: look through everything once
        as_texts = spark.read.options(**options).option("primitivesAsString", "true")
        inferred = as_texts.json(files.all)
        for field in inferred.schema.fields:
            if field.name not in names:
                fields[field.name] = field
    chosen = [*fields.values(), T.StructField(MALFORMED, T.StringType()), *parts]
    reader = spark.read.schema(T.StructType(chosen)).options(**options)
    rows = reader.option("columnNameOfCorruptRecord", MALFORMED).json(files.chosen)
    notes = [
        f"column {part.name!r} is in lines of files and in the names of their folders; the value "
        "of the folder is read"
        for part in parts
        if part.name in fields
    ]
    return rows, notes


def _refuse_several_objects(lines: list[str]) -> None:
    """Refuse lines with objects one after the other, as some writers to object stores leave them:
    Spark reads the first of each line, and no word of the others."""
    decoder = json.JSONDecoder()
    for line in lines:
        text = line.strip()
        try:
            _, end = decoder.raw_decode(text)
        except ValueError:
            continue
        if text[end:].lstrip().startswith("{"):
            raise LakeError(
                f"a line has several JSON objects ({text[: end + 40]!r}), and Spark reads the "
                "first of each line alone; write one object a line"
            )


def _infer_json_fields(lines: list[str]) -> "list[StructField]":
    """Return the columns of JSON lines: texts, and lists (of lists) of texts."""
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
            depths[name] = max(depths.get(name, 0), _measure_depth(value))
    fields = []
    for name, depth in depths.items():
        kind: T.DataType = T.StringType()
        for _ in range(depth):
            kind = T.ArrayType(kind)
        fields.append(T.StructField(name, kind))
    return fields


def _measure_depth(value: object) -> int:
    if not isinstance(value, list):
        return 0
    return 1 + (_measure_depth(value[0]) if value else 0)
