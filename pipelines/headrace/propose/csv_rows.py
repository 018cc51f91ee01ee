"""Some rows of CSV files, as texts, and how Spark has to be told to read them."""

import csv
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from headrace.errors import LakeError
from headrace.propose.dialect import VALUE, dialect_of, encoding_of
from headrace.propose.excerpts import Excerpts
from headrace.propose.find import Found, TableFile
from headrace.propose.partitions import with_partitions
from headrace.propose.pieces import spread
from headrace.propose.reading import MOST_VALUES, Read
from headrace.redaction import redact_text

# What people write for nothing; Spark takes an empty field for it anyhow, and one text beside.
_NULLS = ("NA", "N/A", "n/a", "NULL", "null", "\\N", "None", "none", "NaN", "nan", "#N/A", "-", "?")
# Those of them that are nothing in a column of texts as well.
_ALWAYS_NULLS = frozenset(_NULLS[:6])


def read_csv(found: Found, rows: int) -> Read:
    """At most so many rows of a table.

    Raises:
        LakeError: the files have no rows, or not the same columns, or are no CSV.
    """
    try:
        return _read(found, rows)
    except csv.Error as error:
        raise LakeError(
            f"{redact_text(found.path)} cannot be read as CSV: {error}; look for a quote that is "
            "not closed, or say the format with --format"
        ) from None


def _read(found: Found, rows: int) -> Read:
    excerpts = Excerpts.of(found)
    begin = excerpts.begin()
    encoding = encoding_of(begin)
    dialect = dialect_of(_text(begin, encoding), encoding)
    names: list[str] = []
    safe = True
    lines: list[list[str]] = []
    files: list[TableFile] = []
    read = size = 0
    for excerpt in excerpts.read(from_begin=dialect.lines_in_fields):
        own = dialect.rows(_text(excerpt.lines, encoding))
        size += excerpt.bytes
        if excerpt.first and own:
            header = own.pop(0) if dialect.header else [""] * len(own[0])
            safe = safe and (spark_names(header) == header or not dialect.header)
            names = _same(names, spark_names(header), excerpt.file)
        read += len(own)
        good = [line for line in own if len(line) == len(names)]
        lines += good
        files += [excerpt.file] * len(good)
    if not lines:
        raise LakeError(f"{redact_text(found.path)} is empty: there is no row in its files")
    chosen = spread(len(lines), max(1, min(rows, MOST_VALUES // len(names))))
    fields = list(zip(*(lines[i] for i in chosen), strict=True))
    marker = _null_marker(fields)
    nulls = {"", *([marker] if marker else [])}
    columns = [pa.array([None if f in nulls else f for f in one], pa.string()) for one in fields]
    options = dialect.options()
    if not safe:  # Spark gives columns names of its own, and would miss them in the header
        options["enforceSchema"] = True
    if marker:
        options |= {"nullValue": marker, "emptyValue": marker}
    malformed = read - len(lines)
    note = f"{malformed:,} of {read:,} sampled lines have too many or too few fields: quarantine"
    return Read(
        rows=with_partitions(pa.table(columns, names), [files[i] for i in chosen], found),
        table_rows=round(read / size * found.bytes),
        counted=size == found.bytes,
        whole=size == found.bytes and len(chosen) == len(lines),
        files=len(excerpts.files),
        options=options,
        notes=(note,) if malformed else (),
    )


def spark_names(header: Sequence[str]) -> list[str]:
    """Columns as Spark names them: those without a name or with one that is taken by position."""
    return [
        f"_c{place}" if not name else f"{name}{place}" if header.count(name) > 1 else name
        for place, name in enumerate(header)
    ]


def _text(content: bytes, encoding: str) -> str:
    return content.decode(encoding, errors="replace").removeprefix("\ufeff")


def _same(before: list[str], names: list[str], file: TableFile) -> list[str]:
    if before and names != before:
        raise LakeError(
            f"{file.path} has the columns {', '.join(names)}, and files before it have "
            f"{', '.join(before)}; the files of a table have the same"
        )
    return names


def _null_marker(fields: Sequence[Sequence[str]]) -> str:
    """The text that most often stands for nothing; empty where none does."""
    found: Counter[str] = Counter()
    for column in fields:
        counts = Counter(column)
        marked = {text: counts[text] for text in _NULLS if text in counts}
        others = [text for text in counts if text not in marked and text.strip()]
        values = bool(others) and all(VALUE.fullmatch(text) for text in others)
        found.update({t: n for t, n in marked.items() if values or t in _ALWAYS_NULLS})
    return found.most_common(1)[0][0] if found else ""
