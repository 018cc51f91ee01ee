"""Some rows of JSON files, one object a line or a list of objects, as texts.

Spark reads all values of JSON as texts, and lists as lists of texts, until the recipe declares
their types; so they are texts here.
"""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from headrace.errors import LakeError
from headrace.propose.excerpts import Excerpt, Excerpts
from headrace.propose.find import Found, TableFile
from headrace.propose.partitions import with_partitions
from headrace.propose.pieces import spread
from headrace.propose.reading import MOST_VALUES, Read
from headrace.redaction import redact_text


def read_json(found: Found, rows: int) -> Read:
    """At most so many rows of a table.

    Raises:
        LakeError: the files have no rows.
    """
    excerpts = Excerpts.of(found)
    listed = excerpts.begin().lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    records: list[dict[str, Any]] = []
    files: list[TableFile] = []
    size = bad = 0
    for excerpt in excerpts.read(from_begin=listed):
        size += excerpt.bytes
        for record in _listed(excerpt) if listed else _lines(excerpt):
            if record is None:
                bad += 1
                continue
            records.append(record)
            files.append(excerpt.file)
    names = list(dict.fromkeys(name for record in records for name in record))
    if not names:
        raise LakeError(f"{redact_text(found.path)} is empty: there is no JSON object in its files")
    chosen = spread(len(records), max(1, min(rows, MOST_VALUES // len(names))))
    columns, unusable = {}, {}
    for name in names:
        values = [records[i].get(name) for i in chosen]
        column = _column(values)
        if column is None:
            unusable[name] = "objects, or lists in lists; put their values into columns"
        else:
            columns[name] = column
    read = len(records) + bad
    notes = (f"{bad:,} of {read:,} sampled lines are no JSON objects: quarantine",) if bad else ()
    return Read(
        rows=with_partitions(pa.table(columns), [files[i] for i in chosen], found),
        table_rows=round(read / size * found.bytes),
        counted=size == found.bytes,
        whole=size == found.bytes and len(chosen) == len(records),
        files=len(excerpts.files),
        options={"multiLine": True} if listed else {},
        unusable=unusable,
        notes=notes,
    )


def _lines(excerpt: Excerpt) -> Iterator[dict[str, Any] | None]:
    for line in excerpt.lines.decode("utf-8", errors="replace").removeprefix("\ufeff").split("\n"):
        if line.strip():
            yield _object(line)


def _object(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _listed(excerpt: Excerpt) -> Iterator[dict[str, Any] | None]:
    try:
        records = json.loads(excerpt.lines.decode("utf-8", errors="replace").removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise LakeError(
            f"{excerpt.file.path} begins as a JSON list and is none, or is too large to be looked "
            f"at ({error}); write one object a line"
        ) from None
    for record in records:
        yield record if isinstance(record, dict) else None


def _column(values: list[Any]) -> pa.Array | None:
    """Texts, or lists of texts; None where there are objects, or lists in lists."""
    there = [value for value in values if value is not None]
    if any(isinstance(value, list) for value in there):
        if not all(isinstance(v, list) and all(map(_is_scalar, v)) for v in there):
            return None
        lists = [None if v is None else [_text(item) for item in v] for v in values]
        return pa.array(lists, pa.list_(pa.string()))
    if not all(map(_is_scalar, there)):
        return None
    return pa.array([_text(value) for value in values], pa.string())


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, list | dict)


def _text(value: Any) -> str | None:
    """As Spark reads it."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", errors="replace").decode("utf-8")  # of a character only a half
