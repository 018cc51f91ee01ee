"""Detect how CSV files are written: separator, header, quotes, encoding; as Spark's options."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from headrace.errors import LakeError
from headrace.propose.text_types import INTEGER_PATTERN, REAL_PATTERN, TIME_PATTERN

_SPARK_ENCODINGS = {"latin-1": "ISO-8859-1", "cp1252": "windows-1252"}
_WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"),
)  # fmt: skip
SEPARATORS = (",", ";", "\t", "|")
"""Characters that are tried between fields."""
_MAX_LINES = 200
# Python's own limit would be 131,072 characters per field.
csv.field_size_limit(2**24)
# Share of a column's fields that are numbers or times, from which on it is a column of them.
_MIN_VALUE_SHARE = 0.9
VALUE_PATTERN = re.compile(
    rf"\s*(?:{INTEGER_PATTERN}|{REAL_PATTERN}|{TIME_PATTERN})\s*", re.IGNORECASE
)


@dataclass(frozen=True)
class Dialect:
    """The way in which CSV files are written.

    Attributes:
        separator: the character between fields.
        has_header: whether the first line names the columns.
        encoding: Python's name of it.
        doubles_quotes: whether a quote in a quoted field is written twice, and not after a
            backslash.
        has_multiline_fields: whether quoted fields hold line breaks.
    """

    separator: str = ","
    has_header: bool = True
    encoding: str = "utf-8"
    doubles_quotes: bool = True
    has_multiline_fields: bool = False

    def parse_rows(self, text: str) -> list[list[str]]:
        """Return the fields of every line that is not empty."""
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=self.separator,
            doublequote=self.doubles_quotes,
            escapechar=None if self.doubles_quotes else "\\",
        )
        return [row for row in reader if row]

    def build_spark_options(self) -> dict[str, Any]:
        """Return the options of Spark's reader that differ from its defaults."""
        options: dict[str, Any] = {}
        if self.separator != ",":
            options["sep"] = self.separator
        if not self.has_header:
            options["header"] = False
        if self.encoding != "utf-8":
            options["encoding"] = _SPARK_ENCODINGS[self.encoding]
        options["escape"] = '"' if self.doubles_quotes else "\\"
        if self.has_multiline_fields:
            options["multiLine"] = True
        return options


def detect_encoding(beginning: bytes) -> str:
    """Return utf-8 where the bytes are; else cp1252, as Windows writes, where they have characters
    of it that are control characters in latin-1; else latin-1, in which every byte is one.

    Raises:
        LakeError: they are UTF-16 or UTF-32, whose lines Spark does not find.
    """
    for mark, name in _WIDE_MARKS:
        if beginning.startswith(mark):
            raise LakeError(
                f"the file is {name}, as Excel saves «Unicode text», whose lines Spark does not "
                "find; save it as CSV in UTF-8 (iconv -f UTF-16 -t UTF-8)"
            )
    if b"\0" in beginning:
        wide = "UTF-16 without a mark" if beginning[:200].count(b"\0") > 20 else "not text"
        raise LakeError(
            f"the file has zero bytes: it is {wide}; save it as CSV in UTF-8 (iconv -f UTF-16LE -t "
            "UTF-8), or pass its format with --format"
        )
    for truncated_bytes in range(4):  # the last character may be truncated
        with suppress(UnicodeDecodeError):
            beginning[: len(beginning) - truncated_bytes].decode("utf-8")
            return "utf-8"
    if re.search(rb"[\x80-\x9f]", beginning):
        with suppress(UnicodeDecodeError):
            beginning.decode("cp1252")
            return "cp1252"
    return "latin-1"


def detect_dialect(text: str, encoding: str) -> Dialect:
    """Return how a file is written that begins with the text."""
    doubles_quotes = '\\"' not in text
    candidates = [
        Dialect(separator, encoding=encoding, doubles_quotes=doubles_quotes)
        for separator in SEPARATORS
    ]
    best = max(candidates, key=lambda dialect: _score_fit(dialect.parse_rows(text)[:_MAX_LINES]))
    rows = best.parse_rows(text)[:_MAX_LINES]
    return replace(
        best,
        has_header=_has_header(rows),
        has_multiline_fields=any("\n" in field or "\r" in field for row in rows for field in row),
    )


def _score_fit(rows: Sequence[Sequence[str]]) -> tuple[float, int]:
    """Return the share of rows with the most frequent number of fields, and that number."""
    fields, lines = Counter(len(row) for row in rows).most_common(1)[0] if rows else (1, 0)
    return (lines / len(rows), fields) if fields > 1 else (0.0, 1)


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Return False where the first row has numbers or times wherever the others have them."""
    if len(rows) < 2:
        return True
    first, others = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    first_is_value = [
        bool(VALUE_PATTERN.fullmatch(first[position]))
        for position in range(len(first))
        if others and _compute_value_share([row[position] for row in others]) >= _MIN_VALUE_SHARE
    ]
    return not first_is_value or not all(first_is_value)


def _compute_value_share(fields: Sequence[str]) -> float:
    filled = [field for field in fields if field.strip()]
    return sum(1 for f in filled if VALUE_PATTERN.fullmatch(f)) / len(filled) if filled else 0.0
