"""Read some rows of CSV files as texts, and find the options that Spark needs to read them.

What separates fields, and whether there is a header, `dialect` tells; which types the texts spell,
`text_types`.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from headrace.errors import LakeError
from headrace.propose.allocation import spread_positions
from headrace.propose.dialect import SEPARATORS, VALUE_PATTERN, detect_dialect, detect_encoding
from headrace.propose.excerpts import ExcerptReader
from headrace.propose.partitions import add_partition_columns
from headrace.propose.sampled_rows import MAX_VALUES, SampledRows
from headrace.propose.table_files import TableFile, TableFiles
from headrace.redaction import redact_text

_CHARSET_CONF = {"spark.sql.legacy.javaCharsets": True}  # Spark 4 knows few encodings without it
_TITLE_LINES = 50  # that are looked at for a header
_MIN_REGULAR_SHARE = 0.9  # of the lines below a header that have as many fields
# What people write for a null. Spark reads an empty field as one anyhow, and one text besides.
_NULLS_IN_TEXTS = ("NA", "N/A", "n/a", "NULL", "null", "\\N")  # in a column of texts as well
_NULL_TEXTS = (*_NULLS_IN_TEXTS, "None", "none", "NaN", "nan", "#N/A", "-", "?")


def read_csv(table: TableFiles, max_rows: int) -> SampledRows:
    """Read at most `max_rows` rows of a table, from all over its files.

    Raises:
        LakeError: the files have no rows, or not the same columns, or are not CSV.
    """
    try:
        return _read_rows(table, max_rows)
    except csv.Error as error:
        raise LakeError(
            f"{redact_text(table.path)} cannot be read as CSV: {error}; look for a quote that is "
            "not closed, or pass the format with --format"
        ) from None


def _read_rows(table: TableFiles, max_rows: int) -> SampledRows:
    reader = ExcerptReader.for_table(table)
    beginning = reader.read_beginning()
    try:
        encoding = detect_encoding(beginning)
    except LakeError as error:
        raise LakeError(f"{redact_text(table.path)}: {error}") from None
    text = _decode_text(beginning, encoding)
    _refuse_lines_before_header(table, text)
    dialect = detect_dialect(text, encoding)
    names: list[str] = []
    keeps_header = True
    rows: list[list[str]] = []
    files: list[TableFile] = []
    line_count = read_bytes = 0
    for excerpt in reader.read_excerpts(from_beginning=dialect.has_multiline_fields):
        excerpt_rows = dialect.parse_rows(_decode_text(excerpt.lines, encoding))
        read_bytes += excerpt.byte_count
        if excerpt.is_first and excerpt_rows:
            header = excerpt_rows.pop(0) if dialect.has_header else [""] * len(excerpt_rows[0])
            spark_names = name_spark_columns(header)
            keeps_header = keeps_header and (spark_names == header or not dialect.has_header)
            names = _check_same_columns(names, spark_names, excerpt.file)
        line_count += len(excerpt_rows)
        complete_rows = [row for row in excerpt_rows if len(row) == len(names)]
        rows += complete_rows
        files += [excerpt.file] * len(complete_rows)
    if not rows and line_count:
        raise LakeError(
            f"{redact_text(table.path)}: the header has {len(names):,} names, and no line has "
            "as many fields; R's write.table writes no name for its row names (use row.names = "
            "FALSE), and a line may end with a separator"
        )
    if not rows:
        raise LakeError(f"{redact_text(table.path)} is empty: there are no rows in its files")
    positions = spread_positions(len(rows), max(1, min(max_rows, MAX_VALUES // len(names))))
    fields = list(zip(*(rows[i] for i in positions), strict=True))
    marker = _find_null_marker(fields)
    nulls = {"", *([marker] if marker else [])}
    columns = [
        pa.array([None if field in nulls else field for field in column_fields], pa.string())
        for column_fields in fields
    ]
    options = dialect.build_spark_options()
    if not keeps_header:  # Spark renames columns, and would then miss the names in the header
        options["enforceSchema"] = True
    if marker:
        options |= {"nullValue": marker, "emptyValue": marker}
    malformed_count = line_count - len(rows)
    note = (
        f"{malformed_count:,} of {line_count:,} sampled lines have too many or too few fields: "
        "they go to quarantine"
    )
    return SampledRows(
        rows=add_partition_columns(pa.table(columns, names), [files[i] for i in positions], table),
        table_rows=round(line_count / read_bytes * table.byte_count),
        is_counted=read_bytes == table.byte_count,
        is_whole=read_bytes == table.byte_count and len(positions) == len(rows),
        opened_files=len(reader.files),
        reader_options=options,
        notes=(note,) if malformed_count else (),
        spark_conf=_CHARSET_CONF if encoding == "cp1252" else {},
    )


def _refuse_lines_before_header(table: TableFiles, text: str) -> None:
    """Refuse files whose first lines are no rows, which Spark does not pass over.

    Raises:
        LakeError: there is Excel's line `sep=;`, or a title above the header.
    """
    lines = text.splitlines()[:_TITLE_LINES]
    if lines and re.fullmatch(r'"?sep=.\s*"?', lines[0], re.IGNORECASE):
        raise LakeError(
            f"{redact_text(table.path)} begins with {lines[0]!r}, a line for Excel, which Spark "
            "would take for the header; remove it"
        )
    for separator in SEPARATORS:
        counts = [len(fields) for fields in csv.reader(lines, delimiter=separator)]
        columns, rows = Counter(counts).most_common(1)[0] if counts else (1, 0)
        header = counts.index(columns) if columns > 1 else 0
        # A title has few fields, and the lines below the header nearly all have as many.
        has_titles = header and max(counts[:header]) <= columns // 2
        if has_titles and rows > 2 and rows >= _MIN_REGULAR_SHARE * (len(counts) - header):
            raise LakeError(
                f"{redact_text(table.path)} has {header} lines above its header ({lines[0]!r}), "
                f"which is line {header + 1}; Spark would take the first for it. Remove them "
                f"(tail -n +{header + 1})"
            )


def name_spark_columns(header: Sequence[str]) -> list[str]:
    """Return the columns' names as Spark makes them: empty and repeated ones get their position."""
    return [
        f"_c{position}" if not name else f"{name}{position}" if header.count(name) > 1 else name
        for position, name in enumerate(header)
    ]


def _decode_text(content: bytes, encoding: str) -> str:
    return content.decode(encoding, errors="replace").removeprefix("\ufeff")


def _check_same_columns(earlier_names: list[str], names: list[str], file: TableFile) -> list[str]:
    if earlier_names and names != earlier_names:
        raise LakeError(
            f"{file.path} has the columns {', '.join(names)}, and files before it have "
            f"{', '.join(earlier_names)}; all files of a table must have the same columns"
        )
    return names


def _find_null_marker(fields: Sequence[Sequence[str]]) -> str:
    """Return the text that most often stands for a null; empty where none does.

    Args:
        fields: the fields of each column.
    """
    marker_counts: Counter[str] = Counter()
    for column_fields in fields:
        counts = Counter(column_fields)
        markers = {text: counts[text] for text in _NULL_TEXTS if text in counts}
        others = [text for text in counts if text not in markers and text.strip()]
        has_values = bool(others) and all(VALUE_PATTERN.fullmatch(text) for text in others)
        marker_counts.update(
            {
                text: count
                for text, count in markers.items()
                if has_values or text in _NULLS_IN_TEXTS
            }
        )
    return marker_counts.most_common(1)[0][0] if marker_counts else ""
