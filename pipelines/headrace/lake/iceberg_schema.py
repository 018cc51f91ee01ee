"""Say an Iceberg table's columns in Spark's words."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table.name_mapping import NameMapping

_SPARK_TYPES = {
    "boolean": "boolean", "int": "integer", "long": "long", "float": "float", "double": "double",
    "date": "date", "timestamp": "timestamp_ntz", "timestamptz": "timestamp", "string": "string",
    "binary": "binary",
}  # fmt: skip


class _UnreadTypeError(Exception):
    """A type that Spark has no reader for."""


def convert_schema(schema: "Schema") -> tuple[str, dict[str, str]]:
    """Convert a schema to Spark's JSON.

    Returns:
        the JSON; and the columns that Spark cannot read, with the reason.
    """
    fields, unread = [], {}
    for field in schema.fields:
        try:
            fields.append(_convert_field(field))
        except _UnreadTypeError as error:
            unread[field.name] = f"has the Iceberg type {error}"
    return json.dumps({"type": "struct", "fields": fields}), unread


def find_renamed_columns(schemas: "Iterable[Schema]") -> list[str]:
    """Find columns, nested ones included, that have or had another name or another id.

    Args:
        schemas: all that the table ever had.
    """
    names: dict[int, set[str]] = defaultdict(set)
    ids: dict[str, set[int]] = defaultdict(set)
    for schema in schemas:
        for number, name in _list_names(schema.as_struct(), ""):
            names[number].add(name)
            ids[name].add(number)
    return sorted(
        {name for found in names.values() if len(found) > 1 for name in found}
        | {name for name, found in ids.items() if len(found) > 1}
    )


def list_field_ids(schema: "Schema") -> dict[str, int]:
    """List the ids of a schema's columns, nested ones by dotted names."""
    return {name: number for number, name in _list_names(schema.as_struct(), "")}


def has_lost_ids(schemas: "Iterable[Schema]", last_id: int) -> bool:
    """Return whether a table had columns that none of its schemas has any more.

    Args:
        schemas: all that its metadata names.
        last_id: the highest id that it ever gave.
    """
    known = {number for s in schemas for number, _ in _list_names(s.as_struct(), "")}
    return len(known) < last_id


def find_other_id(kinds: "Iterable[pa.Field]", ids: Mapping[str, int]) -> str | None:
    """Find a column of a file that is another column of the table, by the ids of both.

    Args:
        kinds: the file's columns; those without an id go by their names, as the format has it.
        ids: of the table's columns.

    Returns:
        what is wrong; None where nothing is.
    """
    names = {number: name for name, number in ids.items()}
    for path, number in _list_file_ids(kinds, ""):
        if path in ids and ids[path] != number:
            return f"its {path} is another column than the table's, by its field id {number}"
        if path not in ids and number in names:
            return f"its {path} is the table's {names[number]}, by its field id {number}"
    return None


def _list_file_ids(kinds: "Iterable[pa.Field]", prefix: str) -> Iterator[tuple[str, int]]:
    """List the dotted names and ids of a file's columns."""
    for item in kinds:
        yield from _list_ids_of(item, f"{prefix}{item.name}")


def _list_ids_of(item: pa.Field, path: str) -> Iterator[tuple[str, int]]:
    number, kind = (item.metadata or {}).get(b"PARQUET:field_id"), item.type
    if number is not None:
        yield path, int(number)
    if pa.types.is_struct(kind):
        yield from _list_file_ids(kind, f"{path}.")
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _list_ids_of(kind.value_field, f"{path}.element")
    elif pa.types.is_map(kind):
        yield from _list_ids_of(kind.key_field, f"{path}.key")
        yield from _list_ids_of(kind.item_field, f"{path}.value")


def find_mapped_columns(mapping: "NameMapping | None", schema: "Schema") -> list[str]:
    """Find columns, nested ones included, that files of other writers have under another name.

    Args:
        mapping: of names in files without ids to ids; None where the table has none.
        schema: the current one.
    """
    names = {
        number: name.rpartition(".")[2] for number, name in _list_names(schema.as_struct(), "")
    }
    found, waiting = set(), list(mapping) if mapping is not None else []
    while waiting:
        field = waiting.pop()
        waiting += field.fields
        name = names.get(field.field_id) if field.field_id is not None else None
        if name is not None and {*field.names} - {name}:
            found |= {name, *field.names}
    return sorted(found)


def _list_names(kind: Any, prefix: str) -> "Iterable[tuple[int, str]]":
    """List the ids and dotted names of all fields, elements of lists and maps included."""
    children = []
    if hasattr(kind, "fields"):
        children = [(field.field_id, field.name, field.field_type) for field in kind.fields]
    elif hasattr(kind, "element_type"):
        children = [(kind.element_id, "element", kind.element_type)]
    elif hasattr(kind, "key_type"):
        children = [
            (kind.key_id, "key", kind.key_type),
            (kind.value_id, "value", kind.value_type),
        ]
    for number, name, child in children:
        yield number, f"{prefix}{name}"
        yield from _list_names(child, f"{prefix}{name}.")


def _convert_field(field: Any) -> dict[str, Any]:
    return {
        "name": field.name,
        "type": _convert_type(field.field_type),
        "nullable": not field.required,
        "metadata": {},
    }


def _convert_type(kind: Any) -> Any:
    if hasattr(kind, "fields"):
        return {"type": "struct", "fields": [_convert_field(field) for field in kind.fields]}
    if hasattr(kind, "element_type"):
        return {
            "type": "array",
            "elementType": _convert_type(kind.element_type),
            "containsNull": not kind.element_required,
        }
    if hasattr(kind, "key_type"):
        return {
            "type": "map",
            "keyType": _convert_type(kind.key_type),
            "valueType": _convert_type(kind.value_type),
            "valueContainsNull": not kind.value_required,
        }
    text = str(kind)
    if text.startswith("decimal"):
        return text.replace(" ", "")
    if text.startswith("fixed"):
        return "binary"
    if text not in _SPARK_TYPES:
        raise _UnreadTypeError(text)
    return _SPARK_TYPES[text]
