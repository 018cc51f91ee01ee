"""Say an Iceberg table's columns in Spark's words."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

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
