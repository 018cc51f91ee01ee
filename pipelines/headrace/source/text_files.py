"""Load CSV and JSON files with Spark: columns as texts, and every line that is no row kept."""

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from headrace.errors import LakeError
from headrace.source.chosen_files import ChosenFiles
from headrace.source.internal_columns import MALFORMED, col
from headrace.source.line_checks import (
    count_lines,
    digest_csv_lines,
    digest_row,
    find_open_quotes,
    find_several_values,
    is_multi_line,
    list_folder_columns,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructField, StructType

_SAMPLE_LINES = 1000  # of JSON, to learn its columns
_MAX_OPEN_QUOTES = 10_000  # lines that are told from others by a list of digests


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

    Raises:
        LakeError: a quote is not closed on its line, and no option says what that means.
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
    rows = _mark_open_quotes(rows, files.chosen, settings)
    names = [f.name for f in header.schema.fields if f.name in needed and f.name not in texts]
    return _mark_doubtful(rows, names, own, quote)


def _mark_open_quotes(
    rows: "DataFrame", files: str | list[str], settings: dict[str, Any]
) -> "DataFrame":
    """Mark rows as malformed that are cut off within quotes; refuse them where they may be records
    of several lines, because what follows may look like a row and be none."""
    import pyspark.sql.functions as F

    spark, says_multi_line = rows.sparkSession, is_multi_line(settings)
    names = [name for name in rows.columns if name != MALFORMED]
    lines = None if says_multi_line else find_open_quotes(spark, files, settings, len(names))
    found = count_lines(lines) if lines is not None else None
    if lines is None or found is None:
        return rows
    told = (
        f"{found.path}: a quote is not closed on its line ({found.example!r}; "
        f"{found.count:,} such line{'s' * (found.count > 1)} in all)"
    )
    if says_multi_line is None:
        raise LakeError(
            f"{told}, and what there is would be taken for the whole value. Set options.multiLine "
            "to true if records go on over several lines, to false if such lines are broken (they "
            "are counted and kept in the quarantine then), or options.quote to '' if quotes have "
            "no meaning"
        )
    if found.count > _MAX_OPEN_QUOTES:
        raise LakeError(
            f"{told}, more than {_MAX_OPEN_QUOTES:,}: set options.multiLine to true if records go "
            "on over several lines, or options.quote to '' if quotes have no meaning"
        )
    folders = list_folder_columns(spark, files, settings)
    values = [col(name) for name in names if name not in folders]
    digests = digest_csv_lines(lines, settings, len(values))
    digest = digest_row(values, F.col("_metadata.file_path"))
    reason = F.concat(F.lit("a quote is not closed on its line: "), F.to_csv(F.struct(*values)))
    marked = F.coalesce(col(MALFORMED), F.when(digest.isin(digests), reason)).alias(MALFORMED)
    return rows.select(*(marked if n == MALFORMED else col(n) for n in rows.columns))


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
        LakeError: on a line something comes after the first object.
    """
    import pyspark.sql.types as T

    lines = spark.read.options(**options).text(files.all)
    parts = declare_texts(lines.schema, texts).fields[1:]  # partition columns
    # As bytes: through Spark Connect a text that is no UTF-8 cannot be fetched.
    first_lines = lines.select(lines[0].cast("binary")).limit(_SAMPLE_LINES).collect()
    sample = [bytes(row[0]).decode("utf-8", "replace") for row in first_lines]
    if not is_multi_line(options):
        _refuse_several_values(spark, files.chosen, options)
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


def _refuse_several_values(
    spark: "SparkSession", files: str | list[str], options: dict[str, Any]
) -> None:
    """Refuse lines with objects one after the other, as some writers to object stores leave them,
    or with anything else after the first: Spark reads that one, and no word of what follows."""
    found = count_lines(find_several_values(spark, files, options))
    if found is not None:
        lines = "1 line" if found.count == 1 else f"{found.count:,} lines"
        raise LakeError(
            f"{found.path}: on {lines} of the table something comes after the first "
            f"JSON object ({found.example!r}), and Spark reads the first alone; write one object a "
            "line, and nothing else"
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
