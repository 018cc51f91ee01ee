"""Describe the columns of a table's files by types of no engine's own, as their footers say.

They are kept in a dataset version, so that the next build opens the footers of new files alone. How
the columns of many files become those of one table is in `source/common_columns.py`.
"""

import hashlib
import json
import re
from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

FileType = str | dict[str, Any]
"""A type in a file. A word for one value; `{"list": type}`, `{"map": [key, value]}` or `{"struct":
[[name, type], …]}` for others; see `describe_type`."""
FileColumns = tuple[tuple[str, FileType], ...]
"""The columns of a file and their types, in its order."""
_WORDS: tuple[tuple[str, str], ...] = (
    ("null", "null"), ("bool", "boolean"), ("int8", "int8"), ("int16", "int16"),
    ("int32", "int32"), ("int64", "int64"), ("uint8", "uint8"), ("uint16", "uint16"),
    ("uint32", "uint32"), ("uint64", "uint64"), ("float", "float"), ("double", "double"),
    ("string", "string"), ("large_string", "string"), ("string_view", "string"),
    ("binary", "binary"), ("large_binary", "binary"), ("binary_view", "binary"),
    ("date32[day]", "date"),
)  # fmt: skip
# A column of the text of a footer, and what it is annotated as.
_TOP_LEVEL = re.compile(r"  (required|optional|repeated) ")
_ANNOTATION = re.compile(r" \((Variant|Map)(?:\(\d+\))?\) \{$")
UNKNOWN_TYPE = "unknown type"
"""A type that a later version of the format has; a file with it Spark does not read at all."""
_LONG_DIGITS = 18
"""Digits up to which Spark wants decimals as numbers, or as bytes of one length."""
_CHAR_TYPE = "__CHAR_VARCHAR_TYPE_STRING"
_SPARK_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"


def digest_columns(columns: FileColumns) -> str:
    """Return 16 hexadecimal digits that name these columns."""
    text = json.dumps(columns, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def parse_columns(tree: Any) -> FileColumns:
    """Return columns that were written as JSON."""
    return tuple((str(name), kind) for name, kind in tree)


def drop_columns(columns: FileColumns, names: Collection[str]) -> FileColumns:
    """Return the columns without those of some names."""
    if not names:
        return columns
    return tuple(column for column in columns if column[0] not in names)


def describe_type(kind: pa.DataType) -> FileType:
    """Return the type of an Arrow column, as it lies in a file.

    Returns:
        for one value a word: `null`, `boolean`, `int8` to `int64`, `uint8` to `uint64`, `float`,
        `double`, `decimal(precision,scale)`, `date`, `timestamp` (a moment), `timestamp_ntz`
        (without a zone), `timestamp_ns`, `string`, `binary`; Arrow's word where it is another.
    """
    is_a = pa.types
    if is_a.is_dictionary(kind):
        return describe_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return describe_type(kind.storage_type)
    if is_a.is_duration(kind):  # in a file it is a plain number
        return "int64"
    if is_a.is_fixed_size_binary(kind):
        return "binary"
    if is_a.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if is_a.is_timestamp(kind):
        if kind.unit == "ns":
            return "timestamp_ns"
        return "timestamp" if kind.tz else "timestamp_ntz"
    if is_a.is_map(kind):
        return {"map": [describe_type(kind.key_type), describe_type(kind.item_type)]}
    if is_a.is_struct(kind):
        return {"struct": [[field.name, describe_type(field.type)] for field in kind]}
    if is_a.is_list(kind) or is_a.is_large_list(kind) or is_a.is_fixed_size_list(kind):
        return {"list": describe_type(kind.value_type)}
    return dict(_WORDS).get(str(kind), str(kind))


def read_parquet_columns(footer: pq.FileMetaData) -> FileColumns:
    """Return the columns of a Parquet file.

    Beside the types of `describe_type` there is `char`, texts that Spark filled up with spaces, and
    what Arrow takes for another type and Spark does not read: `variant`, `map without values`,
    `decimal of variable bytes`, and `unknown type` of a later version of the format.
    """
    schema = footer.schema.to_arrow_schema()
    columns = []
    padded = _find_padded_texts(footer)
    leaves = _find_leaves(footer)
    unread = _find_unread_types(footer, schema)
    for field in schema:
        kind = unread.get(field.name) or describe_type(field.type)
        leaf = leaves.get(field.name)
        if kind == "timestamp_ns" and leaf is not None:
            if footer.schema.column(leaf).physical_type == "INT96":
                kind = "timestamp"
        elif kind == "string" and field.name in padded:
            kind = "char"
        columns.append((field.name, kind))
    return tuple(columns)


def read_orc_columns(file: orc.ORCFile) -> FileColumns:
    """Return the columns of an ORC file."""
    columns = []
    for field in file.schema:  # Spark reads microseconds, and takes every time for a moment
        is_time = pa.types.is_timestamp(field.type)
        columns.append((field.name, "timestamp" if is_time else describe_type(field.type)))
    return tuple(columns)


def _find_unread_types(footer: pq.FileMetaData, schema: pa.Schema) -> dict[str, FileType]:
    """Find columns of types that Arrow does not tell, and takes for what they are made of."""
    found: dict[str, FileType] = {}
    fields = [line for line in str(footer.schema).splitlines() if _TOP_LEVEL.match(line)]
    for line, field in zip(fields, schema, strict=False):
        annotation = _ANNOTATION.search(line)
        if annotation and annotation[1] == "Variant":
            found[field.name] = "variant"
        elif annotation and annotation[1] == "Map" and not pa.types.is_map(field.type):
            found[field.name] = "map without values"
    for position in range(footer.num_columns):
        leaf = footer.schema.column(position)
        kind = _name_unread_type(leaf)
        if kind is not None:
            path = f"{leaf.path}."
            name = next(name for name in schema.names if path.startswith(f"{name}."))
            found.setdefault(name, kind)
    return found


def _name_unread_type(leaf: pq.ColumnSchema) -> str | None:
    kind = leaf.logical_type.type
    if kind == "UNDEFINED":
        return UNKNOWN_TYPE
    if kind == "DECIMAL" and leaf.physical_type == "BYTE_ARRAY" and leaf.precision <= _LONG_DIGITS:
        return "decimal of variable bytes"
    return None


def _find_leaves(footer: pq.FileMetaData) -> dict[str, int]:
    """Return the positions of the columns of one value."""
    leaves = {}
    for position in range(footer.num_columns):
        leaf = footer.schema.column(position)
        if leaf.max_repetition_level == 0 and leaf.path == leaf.name:
            leaves[leaf.name] = position
    return leaves


def _find_padded_texts(footer: pq.FileMetaData) -> set[str]:
    """Return the columns that Spark declared as `char(n)`."""
    text = (footer.metadata or {}).get(_SPARK_SCHEMA)
    if text is None or _CHAR_TYPE.encode() not in text:
        return set()
    try:
        fields = json.loads(text)["fields"]
        return {
            field["name"]
            for field in fields
            if str(field["metadata"].get(_CHAR_TYPE, "")).startswith("char(")
        }
    except (ValueError, KeyError, TypeError, AttributeError):  # another program's own words
        return set()
