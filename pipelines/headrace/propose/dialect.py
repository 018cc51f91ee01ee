"""How CSV files are written: separator, header, quotes, encoding; as options of Spark's reader."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from headrace.propose.text_types import IS_INTEGER, IS_REAL, IS_TIME

_SEPARATORS = (",", ";", "\t", "|")
_LINES = 200
# Python's own limit would be 131,072 characters a field.
csv.field_size_limit(2**24)
# Share of a column's fields that are numbers or times, from which on it is a column of them.
_MOSTLY = 0.9
VALUE = re.compile(rf"\s*(?:{IS_INTEGER}|{IS_REAL}|{IS_TIME})\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How the files are written.

    Attributes:
        separator: of fields.
        header: whether the first line names the columns.
        encoding: Python's name.
        doubled_quotes: a quote in a quoted field is written twice, and not after a backslash.
        lines_in_fields: quoted fields hold line breaks.
    """

    separator: str = ","
    header: bool = True
    encoding: str = "utf-8"
    doubled_quotes: bool = True
    lines_in_fields: bool = False

    def rows(self, text: str) -> list[list[str]]:
        """Fields of every line that is not empty."""
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=self.separator,
            doublequote=self.doubled_quotes,
            escapechar=None if self.doubled_quotes else "\\",
        )
        return [row for row in reader if row]

    def options(self) -> dict[str, Any]:
        """What Spark has to be told."""
        said: dict[str, Any] = {}
        if self.separator != ",":
            said["sep"] = self.separator
        if not self.header:
            said["header"] = False
        if self.encoding != "utf-8":
            said["encoding"] = "ISO-8859-1"
        if self.doubled_quotes:
            said["escape"] = '"'
        if self.lines_in_fields:
            said["multiLine"] = True
        return said


def encoding_of(begin: bytes) -> str:
    """UTF-8; what is none is taken for Latin-1, of which every byte is a letter."""
    for cut in range(4):  # the last character may be cut
        with suppress(UnicodeDecodeError):
            begin[: len(begin) - cut].decode("utf-8")
            return "utf-8"
    return "latin-1"


def dialect_of(text: str, encoding: str) -> Dialect:
    """How the file is written that begins with this text."""
    doubled = '\\"' not in text
    tried = [Dialect(one, encoding=encoding, doubled_quotes=doubled) for one in _SEPARATORS]
    best = max(tried, key=lambda one: _fit(one.rows(text)[:_LINES]))
    rows = best.rows(text)[:_LINES]
    return replace(
        best,
        header=_has_header(rows),
        lines_in_fields=any("\n" in field or "\r" in field for row in rows for field in row),
    )


def _fit(rows: Sequence[Sequence[str]]) -> tuple[float, int]:
    """Share of lines with the most frequent number of fields, and that number."""
    fields, lines = Counter(len(row) for row in rows).most_common(1)[0] if rows else (1, 0)
    return (lines / len(rows), fields) if fields > 1 else (0.0, 1)


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Unless the first line has numbers or times where the others have them."""
    if len(rows) < 2:
        return True
    first, others = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    values = [
        bool(VALUE.fullmatch(first[place]))
        for place in range(len(first))
        if others and _share_of_values([row[place] for row in others]) >= _MOSTLY
    ]
    return not values or not all(values)


def _share_of_values(fields: Sequence[str]) -> float:
    there = [field for field in fields if field.strip()]
    return sum(1 for f in there if VALUE.fullmatch(f)) / len(there) if there else 0.0
