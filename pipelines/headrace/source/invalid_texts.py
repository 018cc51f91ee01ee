"""Find texts that are no UTF-8, of which a file may hold any: one row of them is quarantined.

A check of every text in Spark would have Spark read all of them, and few lakes have such a text. So
the tasks look at the columns that they get; where they find one, the job starts again with a check
of those columns in Spark, which then reads them itself.
"""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import InvalidTextError
from headrace.source.internal_columns import FILE, LABEL, col
from headrace.source.partition_index import find_files_by_hash
from headrace.source.raw_schema import RawSchema
from headrace.source.tables import RawTable
from headrace.source.types import replace_invalid

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import DataType

_MAX_FILES = 2000  # of a table, whose names are part of a query
_SHOWN_BYTES = 40
_ASCII_END = 128


def refuse_invalid_texts(table: pa.Table, columns: Mapping[str, str]) -> None:
    """Refuse rows with a text that is no UTF-8.

    Args:
        table: the rows.
        columns: column of the table -> raw column that it is a copy of; others are not looked at.

    Raises:
        InvalidTextError: with the raw columns.
    """
    invalid = {columns[name] for name in columns if has_invalid_text(table[name])}
    if invalid:
        raise InvalidTextError(json.dumps(sorted(invalid)))


def has_invalid_text(column: pa.ChunkedArray) -> bool:
    """Return whether a column has a text that is no UTF-8, also within a list."""
    if not _has_texts(column.type):
        return False
    try:
        for chunk in column.chunks:
            texts = chunk.dictionary if isinstance(chunk, pa.DictionaryArray) else chunk
            if not _is_ascii(texts):
                texts.validate(full=True)
    except pa.ArrowInvalid:
        return True
    return False


def _is_ascii(texts: pa.Array) -> bool:
    """Return whether texts are known to have ASCII alone, by one look at all of their bytes.

    Arrow looks at one value after the other: 5 million rows of 26 texts took it 2.8 s.
    """
    if not pa.types.is_string(texts.type) and not pa.types.is_large_string(texts.type):
        return False
    kind = np.dtype(np.int32 if pa.types.is_string(texts.type) else np.int64)
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return True
    bounds = np.frombuffer(offsets, kind)[texts.offset : texts.offset + len(texts) + 1]
    begin, end = int(bounds[0]), int(bounds[-1])
    return begin == end or np.frombuffer(data, np.uint8)[begin:end].max() < _ASCII_END


def replace_invalid_bytes(array: pa.Array) -> pa.Array:
    """Return texts with U+FFFD in place of what is no UTF-8; other arrays as they are."""
    if not _has_texts(array.type) or not has_invalid_text(pa.chunked_array([array])):
        return array
    if pa.types.is_dictionary(array.type):
        return replace_invalid_bytes(array.dictionary_decode())
    if pa.types.is_string_view(array.type):
        options = pc.CastOptions(pa.string(), allow_invalid_utf8=True)
        return replace_invalid_bytes(pc.cast(array, options=options))
    if not pa.types.is_string(array.type) and not pa.types.is_large_string(array.type):
        return array
    data = array.cast(pa.large_binary() if pa.types.is_large_string(array.type) else pa.binary())
    texts = [None if v is None else v.decode(errors="replace") for v in data.to_pylist()]
    return pa.array(texts, array.type)


def replace_invalid_texts(rows: pa.Table) -> pa.Table:
    """Return rows that readers do not fail on: with U+FFFD in place of what is no UTF-8."""
    for position, name in enumerate(rows.column_names):
        column = rows.column(position)
        if has_invalid_text(column):
            chunks = [replace_invalid_bytes(chunk) for chunk in column.chunks]
            rows = rows.set_column(position, name, pa.chunked_array(chunks))
    return rows


def is_invalid(column: str, kind: "DataType") -> "Column":
    """Return whether a text, or one in a list, is no UTF-8; false for a null."""
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    def differs(text: "Column") -> "Column":
        return text.cast("binary") != replace_invalid(text).cast("binary")

    if isinstance(kind, T.ArrayType):
        return F.coalesce(F.exists(col(column), differs), F.lit(False))
    return F.coalesce(differs(col(column)), F.lit(False))


def describe_invalid_text(column: str, schema: RawSchema, main: RawTable) -> "Column":
    """Return the reason: the column, the text, its bytes, and its file where that is known."""
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    is_list = isinstance(schema.spark_types[column], T.ArrayType)
    text = F.array_join(col(column), ", ") if is_list else col(column)
    shown = F.hex(F.substring(text.cast("binary"), 1, _SHOWN_BYTES))
    name = "label.expression" if column == LABEL else column
    parts = [
        F.lit(f"{name}: no UTF-8 text: '"), F.substring(replace_invalid(text), 1, 80),
        F.lit("' (bytes "), shown, F.lit(")"),
    ]  # fmt: skip
    names = find_files_by_hash(main.unfiltered) if FILE in schema.names else {}
    if 0 < len(names) <= _MAX_FILES:
        pairs = ((hashed, unquote(url)) for hashed, url in names.items())
        urls = F.create_map(*(F.lit(item) for pair in pairs for item in pair))
        parts += [F.lit(" in "), F.element_at(urls, F.col(FILE))]
    return F.concat(*parts)


def list_text_columns(table: pa.Table, names: Iterable[str]) -> dict[str, str]:
    """Return the columns of some names that a table has and that hold texts."""
    present = {*table.column_names}
    return {name: name for name in names if name in present and _has_texts(table[name].type)}


def _has_texts(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _has_texts(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _has_texts(kind.value_type)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_text(kind) for is_text in texts)
