"""Find the rows of a person by a key: columns and their values, as whoever asks writes them."""

import html
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.dataset_columns import name_passthrough_column, name_raw_columns

_SHORTEST_TEXT = 4  # characters; shorter ones, and numbers, stand everywhere by chance


@dataclass(frozen=True)
class PersonKey:
    """The key of rows that are to be erased.

    Attributes:
        values: column -> value as text; a row has the key where all are equal.
    """

    values: Mapping[str, str]

    @property
    def searched_texts(self) -> list[str]:
        """Return the values that are looked for as texts, wherever they stand."""
        return [
            text
            for text in self.values.values()
            if len(text) >= _SHORTEST_TEXT and not text.replace(".", "").replace("-", "").isdigit()
        ]

    def find_columns(self, names: Iterable[str]) -> dict[str, str] | None:
        """Find the key's columns among those of a file, under their own or a dataset's names.

        Returns:
            column of the file -> value; None where the file lacks one.
        """
        known = {*names}
        found = {}
        for column, text in self.values.items():
            stored = (name_passthrough_column(column), name_raw_columns([column])[column])
            name = next((name for name in (column, *stored) if name in known), None)
            if name is None:
                return None
            found[name] = text
        return found

    def find_rows(self, table: pa.Table) -> np.ndarray | None:
        """Find the rows of a table that have the key.

        Returns:
            bool of shape (rows,); None where the table lacks a column of the key.
        """
        columns = self.find_columns(table.column_names)
        if columns is None:
            return None
        found = np.ones(table.num_rows, bool)
        for name, text in columns.items():
            found &= _find_equal(table[name], text)
        return found

    def is_in_text(self, text: str) -> bool:
        """Return whether a text has one of the values in it, as it is, in JSON or in HTML."""
        return any(form in text for form in self._list_forms())

    def is_in_array(self, texts: pa.Array) -> bool:
        """Return whether one of the values is in one of many texts, a string array."""
        return any(
            pc.any(pc.match_substring(texts, wanted)).as_py() for wanted in self.searched_texts
        )

    def remove_from_text(self, text: str) -> str:
        """Return a text with what is said of the key replaced."""
        for form in self._list_forms():
            text = text.replace(form, "(erased)")
        return text

    def _list_forms(self) -> list[str]:
        """List how the values may be written: in HTML, in URLs, in JSON, and in JSON within JSON,
        as a Delta log has its statistics."""
        forms = []
        for text in self.searched_texts:
            forms += [text, html.escape(text), quote(text), quote(text, safe="")]
            for is_ascii in (True, False):
                inner = _escape(text, is_ascii)
                forms += [inner, *(_escape(inner, outer) for outer in (True, False))]
        return sorted({*forms}, key=len, reverse=True)


def _escape(text: str, is_ascii: bool) -> str:
    """Return a text as JSON has it between its quotes."""
    return json.dumps(text, ensure_ascii=is_ascii)[1:-1]


def _find_equal(column: pa.ChunkedArray, text: str) -> np.ndarray:
    """Find the values that are a text by their column's type."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            value = pa.scalar(text.encode(), column.type)
        else:
            value = pc.cast(pa.scalar(text), column.type)
        equal = pc.fill_null(pc.equal(column, value), False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return np.zeros(len(column), bool)
    return np.asarray(equal.combine_chunks().to_numpy(zero_copy_only=False), bool)


def find_person_rows(table: pa.Table, key: PersonKey) -> np.ndarray:
    """Find the rows that have the key, or one of its texts in any column.

    Returns:
        bool of shape (rows,).
    """
    by_key = key.find_rows(table)
    by_text = _find_text_rows(table, key)
    return by_text if by_key is None else by_key | (by_text & (len(key.values) == 1))


def _find_text_rows(table: pa.Table, key: PersonKey) -> np.ndarray:
    """Find the rows with one of a key's values inside a text of any column, nested ones included.

    Returns:
        bool of shape (rows,).
    """
    found = np.zeros(table.num_rows, bool)
    for form in key.searched_texts:
        for column in table.columns:
            found |= _find_text(column, form)
    return found


def _find_text(column: pa.ChunkedArray, text: str) -> np.ndarray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_binary(kind):
        column = column.cast(pa.large_binary())
        hits = pc.fill_null(pc.match_substring(column, text), False)
        return np.asarray(hits.combine_chunks().to_numpy(zero_copy_only=False), bool)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        hits = pc.fill_null(pc.match_substring(column, text), False)
        return np.asarray(hits.combine_chunks().to_numpy(zero_copy_only=False), bool)
    if pa.types.is_nested(kind):
        return np.array([text in json.dumps(v, default=str, ensure_ascii=False)
                         for v in column.to_pylist()], bool)  # fmt: skip
    return np.zeros(len(column), bool)
