"""Tell the types of columns by what is known before Spark starts: footers, logs and declarations.

What they do not tell is left out, and checked when Spark has opened the tables.
"""

import json
from collections.abc import Mapping

from headrace.errors import RecipeMismatchError
from headrace.lake.file_columns import FileType
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.recipe.declared_types import parse_declared_type
from headrace.schema import ColumnType
from headrace.source.common_columns import find_common_columns
from headrace.source.listing import Listing
from headrace.source.load_errors import name_table
from headrace.transform.literals import find_literal_problems

_OF_FILES: Mapping[str, ColumnType] = {
    **dict.fromkeys(
        ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"), ColumnType.INTEGER
    ),
    **dict.fromkeys(("float", "double"), ColumnType.REAL),
    **dict.fromkeys(("string", "char"), ColumnType.STRING),
    **dict.fromkeys(("date", "timestamp", "timestamp_ntz"), ColumnType.TIMESTAMP),
    "boolean": ColumnType.BOOLEAN,
}
_OF_LOGS: Mapping[str, ColumnType] = {
    **dict.fromkeys(("byte", "short", "integer", "long"), ColumnType.INTEGER),
    **dict.fromkeys(("float", "double"), ColumnType.REAL),
    **dict.fromkeys(("date", "timestamp", "timestamp_ntz"), ColumnType.TIMESTAMP),
    "string": ColumnType.STRING,
    "boolean": ColumnType.BOOLEAN,
}


def refuse_other_literals(
    recipe: Recipe, main: Listing | None, joined: Mapping[str, Listing]
) -> None:
    """Refuse literals of rules that are not of their columns' types, as far as types are known.

    Args:
        recipe: with the rules.
        main: files of the main table; None where only Spark knows them.
        joined: joined table -> its files, likewise.

    Raises:
        RecipeMismatchError: with every such literal.
        LakeError: Spark would not read a table's files.
    """
    types = {}
    for name in (recipe.source.main, *(join.table for join in recipe.source.joins)):
        table = recipe.source.tables[name]
        with name_table(name, table):
            listing = main if name == recipe.source.main else joined.get(name)
            types[name] = find_listed_types(table, listing)
    problems = find_literal_problems(recipe, join_listed_types(recipe, types))
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise RecipeMismatchError(
            f"the lake does not fit the recipe; nothing was published:\n{lines}"
        )


def join_listed_types(
    recipe: Recipe, types: Mapping[str, Mapping[str, ColumnType]]
) -> dict[str, ColumnType]:
    """Return the types of the joined rows' columns, as far as those of the tables are known.

    Args:
        recipe: its source.
        types: table -> column -> type.
    """
    source = recipe.source
    rows = dict(types.get(source.main, {}))
    for join in source.joins:
        of_table = types.get(join.table, {})
        for name, column in join.columns.items():
            rows.pop(name, None)  # of the main table, which the joined column goes before
            if column in of_table:
                rows[name] = of_table[column]
    if source.windows:  # its columns have types of their own
        for name in (*source.windows.columns, *source.windows.targets):
            rows.pop(name, None)
    return rows


def find_listed_types(table: s.Table, listing: Listing | None) -> dict[str, ColumnType]:
    """Find the types of a table's columns; those that nothing but Spark knows are left out.

    Args:
        table: the recipe's; types that it declares come first.
        listing: its files; None where they are not known.
    """
    types: dict[str, ColumnType] = {}
    if listing is not None and listing.log is not None and listing.log.schema:
        fields = json.loads(listing.log.schema)["fields"]
        found = {item["name"]: _find_logged_type(item["type"]) for item in fields}
        types = {name: kind for name, kind in found.items() if kind is not None}
    elif listing is not None and listing.schemas:
        groups, _ = listing.group_by_columns(listing.files)
        folders = {name for path in listing.files for name in listing.get_values(path)}
        for column in find_common_columns(groups, ()).columns:
            kind = _find_file_type(column.kind)
            if kind is not None and column.name not in folders:
                types[column.name] = kind
    for name, declared in table.columns.items():
        word = parse_declared_type(declared).word
        types[name] = ColumnType.TIMESTAMP if word == "date" else ColumnType(word)
    return types


def _find_logged_type(kind: object) -> ColumnType | None:
    if not isinstance(kind, str):
        return None
    return ColumnType.REAL if kind.startswith("decimal") else _OF_LOGS.get(kind)


def _find_file_type(kind: FileType) -> ColumnType | None:
    if not isinstance(kind, str):
        return None
    return ColumnType.REAL if kind.startswith("decimal(") else _OF_FILES.get(kind)
