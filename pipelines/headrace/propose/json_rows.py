"""Read some rows of JSON files as texts; files hold one object per line, or a list of objects.

Spark reads all values of JSON as texts, and lists as lists of texts, until the recipe declares
their types; so they are texts here as well.
"""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from headrace.errors import LakeError
from headrace.propose.allocation import spread_positions
from headrace.propose.excerpts import Excerpt, ExcerptReader
from headrace.propose.partitions import add_partition_columns
from headrace.propose.sampled_rows import MAX_VALUES, SampledRows
from headrace.propose.table_files import TableFile, TableFiles
from headrace.redaction import redact_text


def read_json(table: TableFiles, max_rows: int) -> SampledRows:
    """Read at most `max_rows` rows of a table, from all over its files.

    Raises:
        LakeError: the files have no rows.
    """
    reader = ExcerptReader.for_table(table)
    has_list = reader.read_beginning().lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    records: list[dict[str, Any]] = []
    files: list[TableFile] = []
    read_bytes = malformed_count = 0
    for excerpt in reader.read_excerpts(from_beginning=has_list):
        read_bytes += excerpt.byte_count
        for record in _parse_list(excerpt) if has_list else _parse_lines(excerpt):
            if record is None:
                malformed_count += 1
                continue
            records.append(record)
            files.append(excerpt.file)
    names = list(dict.fromkeys(name for record in records for name in record))
    if not names:
        raise LakeError(f"{redact_text(table.path)} is empty: there is no JSON object in its files")
    positions = spread_positions(len(records), max(1, min(max_rows, MAX_VALUES // len(names))))
    columns, unusable = {}, {}
    for name in names:
        column = _build_array([records[i].get(name) for i in positions])
        if column is None:
            unusable[name] = "objects, or lists in lists; put their values into columns"
        else:
            columns[name] = column
    line_count = len(records) + malformed_count
    note = (
        f"{malformed_count:,} of {line_count:,} sampled lines are not JSON objects: they go to "
        "quarantine"
    )
    return SampledRows(
        rows=add_partition_columns(pa.table(columns), [files[i] for i in positions], table),
        table_rows=round(line_count / read_bytes * table.byte_count),
        is_counted=read_bytes == table.byte_count,
        is_whole=read_bytes == table.byte_count and len(positions) == len(records),
        opened_files=len(reader.files),
        reader_options={"multiLine": True} if has_list else {},
        unusable=unusable,
        notes=(note,) if malformed_count else (),
    )


def _parse_lines(excerpt: Excerpt) -> Iterator[dict[str, Any] | None]:
    for line in excerpt.lines.decode("utf-8", errors="replace").removeprefix("\ufeff").split("\n"):
        if line.strip():
            yield _parse_object(line)


def _parse_object(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _parse_list(excerpt: Excerpt) -> Iterator[dict[str, Any] | None]:
    try:
        records = json.loads(excerpt.lines.decode("utf-8", errors="replace").removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise LakeError(
            f"{excerpt.file.path} begins like a JSON list and does not parse as one, or is too "
            f"large to sample ({error}); write one object per line"
        ) from None
    for record in records:
        yield record if isinstance(record, dict) else None


def _build_array(values: list[Any]) -> pa.Array | None:
    """Return texts, or lists of texts; None where there are objects, or lists in lists."""
    present = [value for value in values if value is not None]
    if any(isinstance(value, list) for value in present):
        if not all(isinstance(v, list) and all(map(_is_scalar, v)) for v in present):
            return None
        lists = [None if v is None else [_render_text(item) for item in v] for v in values]
        return pa.array(lists, pa.list_(pa.string()))
    if not all(map(_is_scalar, present)):
        return None
    return pa.array([_render_text(value) for value in values], pa.string())


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, list | dict)


def _render_text(value: Any) -> str | None:
    """Return the value as the text that Spark reads it as; None for a null."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", errors="replace").decode("utf-8")  # lone surrogates become "?"
