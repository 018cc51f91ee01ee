"""Find lines of CSV and JSON files that Spark's readers cut off without a word.

A quote that is not closed ends with its line, so of a text with a line break the first part is
taken for all of it, and what follows may have the right number of fields for a row that nobody
wrote. Of a line of JSON the first object is read, and nothing that comes after it. No column tells
of either. So the lines are looked at before their rows are read: each line is given an end of our
own, and Spark's own parser, with the recipe's options, says whether it comes where it should.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.recipe.spark_settings import format_setting
from headrace.source.internal_columns import col

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_LINE, _PARTS, _PATH = "__headrace_line", "__headrace_parts", "__headrace_path"
_END = "\ue000headrace"
_NO_SEPARATOR = "\ue000headrace\ue001"  # lines are read as CSV of one column, in their encoding
_MAX_SHOWN = 80  # characters of a line
# Options of Spark's readers about which lines there are, in small letters.
_LINE_OPTIONS = {
    "basepath", "charset", "encoding", "ignorecorruptfiles", "ignoremissingfiles", "linesep",
    "modifiedafter", "modifiedbefore", "pathglobfilter", "recursivefilelookup",
}  # fmt: skip
# As Spark reads `sep`, see CSVExprUtils.toDelimiterStr.
_ESCAPES = {
    "\\t": "\t", "\\r": "\r", "\\b": "\b", "\\f": "\f", '\\"': '"', "\\'": "'", "\\\\": "\\",
    "\\u0000": "\0", "\\0": "\0",
}  # fmt: skip


@dataclass(frozen=True)
class CutLines:
    """Lines that would be cut off.

    Attributes:
        path: of the first file that has some, in order of their paths.
        count: of lines, in all files.
        example: the beginning of one of that file's.
    """

    path: str
    count: int
    example: str


def is_multi_line(options: Mapping[str, Any]) -> bool | None:
    """Return what options say of records of several lines; None where they say nothing."""
    own = {key.lower(): value for key, value in options.items()}
    if "multiline" not in own:
        return None
    return format_setting(own["multiline"]).lower() == "true"


def find_open_quotes(
    spark: "SparkSession", files: str | list[str], settings: Mapping[str, Any], columns: int
) -> "DataFrame | None":
    """Find the lines of CSV files on which a quote is opened and not closed.

    Args:
        spark: the session.
        files: that are read.
        settings: of Spark's reader, all of them.
        columns: how many the files have at most.

    Returns:
        the lines, not yet computed, for `count_lines` and `parse_lines`; None where no character
        is a quote.
    """
    import pyspark.sql.functions as F

    own = {key.lower(): value for key, value in settings.items()}
    quote = str(own.get("quote", '"'))
    if not quote:
        return None
    separator = _read_separator(str(own.get("sep", own.get("delimiter", ","))))
    end = f"{separator}{_END}"
    # Twice as many as there are: a line with too many of them may have an open quote as well.
    fields = [f"c{number}" for number in range(2 * columns + 1)]
    schema = ", ".join(f"{field} string" for field in fields)
    lines = _read_lines(spark, files, settings, {"comment"})
    parts = F.from_csv(F.concat(col(_LINE), F.lit(end)), schema, _format(settings))
    values = F.array(*(F.col(_PARTS).getField(field) for field in fields))
    return (
        lines.where(F.contains(col(_LINE), F.lit(quote)))
        .withColumn(_PARTS, parts)
        .where(F.exists(values, lambda value: F.endswith(value, F.lit(end))))
        .select(_LINE, _PATH)
    )


def find_several_values(
    spark: "SparkSession", files: str | list[str], options: Mapping[str, Any]
) -> "DataFrame":
    """Find the lines of JSON files on which something comes after the first object.

    Args:
        spark: the session.
        files: that are read.
        options: of Spark's reader.

    Returns:
        the lines, not yet computed, for `count_lines`.
    """
    import pyspark.sql.functions as F

    corrupt = {"columnNameOfCorruptRecord": "bad", "mode": "PERMISSIVE"}
    read = _format(options) | corrupt
    lines = _read_lines(spark, files, options, set())
    trimmed = F.rtrim(col(_LINE))
    # A line break before our end: a comment that the options allow would take it along.
    whole = F.concat(F.lit('{"values": ['), col(_LINE), F.lit('\n], "end": "end"}'))
    parts = F.from_json(whole, "values array<string>, end string", read)
    first_is_read = F.isnull(F.from_json(col(_LINE), "bad string", read).getField("bad"))
    comes_alone = (F.col(_PARTS).getField("end") == F.lit("end")) & (
        F.size(F.col(_PARTS).getField("values")) <= F.lit(1)
    )
    return (
        lines.where(F.instr(col(_LINE), "}") < F.length(trimmed))  # nested, or not alone
        .where(first_is_read)
        .withColumn(_PARTS, parts)
        .where(~F.coalesce(comes_alone, F.lit(False)))
        .select(_LINE, _PATH)
    )


def count_lines(lines: "DataFrame") -> CutLines | None:
    """Compute lines that were found; None where there are none."""
    import pyspark.sql.functions as F

    example = F.substring(F.min(col(_LINE)), 1, _MAX_SHOWN)
    found = lines.groupBy(_PATH).agg(F.count(F.lit(1)).alias("lines"), example.alias("example"))
    rows = sorted(found.collect(), key=lambda row: str(row[_PATH]))
    if not rows:
        return None
    return CutLines(rows[0][_PATH], sum(row["lines"] for row in rows), rows[0]["example"])


def digest_csv_lines(lines: "DataFrame", settings: Mapping[str, Any], columns: int) -> list[str]:
    """Compute digests of what Spark makes of lines of CSV, as `digest_row` does of rows."""
    import pyspark.sql.functions as F

    fields = [f"c{number}" for number in range(columns)]
    schema = ", ".join(f"{field} string" for field in fields)
    parsed = lines.withColumn(_PARTS, F.from_csv(col(_LINE), schema, _format(settings)))
    digest = digest_row([F.col(_PARTS).getField(field) for field in fields], col(_PATH))
    return [row[0] for row in parsed.select(digest).distinct().collect()]


def digest_row(values: "list[Column]", path: "Column") -> "Column":
    """Return the digest of a row of texts, nulls told from texts, and of the path of its file."""
    import pyspark.sql.functions as F

    return F.sha2(F.to_json(F.array(path, *values)), 256)


def list_folder_columns(
    spark: "SparkSession", files: str | list[str], settings: Mapping[str, Any]
) -> list[str]:
    """List the columns that the names of folders have."""
    return _open_lines(spark, files, settings, set()).columns[1:]


def _read_lines(
    spark: "SparkSession", files: str | list[str], settings: Mapping[str, Any], more: set[str]
) -> "DataFrame":
    """Read lines that are not empty, and the paths of their files."""
    import pyspark.sql.functions as F

    lines = _open_lines(spark, files, settings, more)
    return lines.select(col(_LINE), F.col("_metadata.file_path").alias(_PATH))


def _open_lines(
    spark: "SparkSession", files: str | list[str], settings: Mapping[str, Any], more: set[str]
) -> "DataFrame":
    kept = _LINE_OPTIONS | more
    options = {key: value for key, value in settings.items() if key.lower() in kept}
    reader = spark.read.options(**options).options(
        header="false", sep=_NO_SEPARATOR, quote="", columnPruning="false"
    )
    return reader.schema(f"{_LINE} string").csv(files)


def _format(options: Mapping[str, Any]) -> dict[str, str]:
    """Return options for parsing one line, which has been decoded already."""
    left_out = {"charset", "encoding", "header", "linesep", "multiline"}
    left_out |= {"maxcharspercolumn", "maxcolumns"}  # our end is one more
    return {
        key: format_setting(value) for key, value in options.items() if key.lower() not in left_out
    } | {"columnPruning": "false"}


def _read_separator(text: str) -> str:
    return _ESCAPES.get(text, text)
