"""Describe the road from the lake's tables to a model's raw columns, and compare two of them.

What a recipe says of joins, column types, windows and rules decides the values that a model reads.
A model keeps the description of the recipe that its rows were made by, so that another road to it
is found before it gives other predictions.
"""

from collections.abc import Collection, Mapping
from typing import Any

from headrace.recipe.sections import Expr, Recipe, Rule, Unique
from headrace.recipe.sql_text import find_column_names

Road = dict[str, Any]
"""Plain values, which JSON keeps."""
_LOCATION = ("path", "table", "metadata", "version_as_of", "timestamp_as_of")
# A declared type that gives what a column has anyway is no difference.
_KINDS = {
    "integer": "integer", "real": "real", "string": "string", "timestamp": "timestamp",
    "boolean": "boolean", "date": "date", "binary": "bytes", "list[integer]": "integers",
    "list[real]": "reals", "list[string]": "strings",
}  # fmt: skip
# What decides neither which rows there are nor their values.
_NO_VALUE = ("read_with",)


def describe_road(recipe: Recipe, columns: Mapping[str, str]) -> Road:
    """Describe how some columns of rows come from the tables.

    Args:
        recipe: source and clean.rules are read; redacted, as it is recorded.
        columns: those that the model reads, and those that its rules read -> their kind, or as
            what they are stored.

    Returns:
        joins that the columns come from, with their tables; the declared types of the main table's
        columns, where they are not the kinds that the model reads; windows; and rules. The main
        table itself is no part of it: any table of the same columns can be scored.
    """
    source, needed = recipe.source, {*columns}
    windows = None
    if source.windows and needed & {*source.windows.columns}:
        windows = source.windows.model_dump(mode="json", exclude={"targets", "ahead"})
        windows["columns"] = {n: c for n, c in source.windows.columns.items() if n in needed}
        needed |= {*source.windows.columns.values(), *source.windows.key, source.windows.order}
    joins, tables = [], {}
    for join in source.joins:
        joined = {name: column for name, column in join.columns.items() if name in needed}
        if not joined:
            continue
        joins.append({"table": join.table, "key": list(join.key), "columns": joined})
        needed |= {*join.key}
        used = {*join.key, *joined.values()}
        table = source.tables[join.table].model_dump(mode="json", exclude={*_NO_VALUE})
        table["columns"] = {n: t for n, t in table["columns"].items() if n in used}
        tables[join.table] = table
    declared = source.tables[source.main].columns
    return {
        "columns": {
            name: declared[name]
            for name in sorted(needed & {*declared})
            if _KINDS.get(declared[name], "") != columns.get(name)
        },
        "joins": sorted(joins, key=lambda join: (join["table"], sorted(join["columns"]))),
        "tables": tables,
        "windows": windows,
        "rules": [
            _describe_rule(rule)
            for rule in recipe.clean.rules
            if not isinstance(rule, Unique) and not _list_columns(rule) & list_later_columns(recipe)
        ],
    }


def list_later_columns(recipe: Recipe) -> set[str]:
    """List the columns that nobody has at the moment of prediction: what is declared as
    `unavailable`, what the label, its weight and its baseline read, and what lies in the future."""
    label, windows = recipe.label, recipe.source.windows
    texts = (label.expression, label.sample_weight, label.baseline)
    later = {name for text in texts if text for name in find_column_names(text)}
    return later | {*recipe.unavailable} | ({*windows.targets} if windows else set())


def _describe_rule(rule: "Rule") -> Road:
    """Describe what a rule does to rows without a label: a value is missing, or a row rejected."""
    plain = rule.model_dump(mode="json", exclude={"max_fraction", "name"}, exclude_none=True)
    return {**plain, "on_violation": "null" if rule.on_violation == "null" else "reject"}


def _list_columns(rule: "Rule") -> set[str]:
    return {
        *(find_column_names(rule.expression) if isinstance(rule, Expr) else rule.list_columns())
    }


def find_road_differences(before: Road, now: Road, moved: Collection[str] = ()) -> list[str]:
    """Find what is different on two roads to the same model.

    Args:
        before: the model's.
        now: the recipe's.
        moved: joined tables that may lie elsewhere than before.

    Returns:
        a text for each difference: the key, the value of the recipe and that of the model.
    """
    return [
        f"{path} is {_show(new)}, it was {_show(old)}"
        for path, old, new in _find_differences("", before, now)
        if not _is_moved(path, moved)
    ]


def _is_moved(path: str, moved: Collection[str]) -> bool:
    parts = path.split(".")
    return parts[0] == "tables" and parts[1] in moved and parts[-1] in _LOCATION


def _find_differences(path: str, old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    if old == new:
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [
            found
            for key in [*new, *(k for k in old if k not in new)]
            for found in _find_differences(
                f"{path}.{key}" if path else str(key), old.get(key), new.get(key)
            )
        ]
    if isinstance(old, list) and isinstance(new, list):
        count = max(len(old), len(new))
        items = [items[:count] + [None] * (count - len(items)) for items in (old, new)]
        return [
            found
            for i, (a, b) in enumerate(zip(*items, strict=True))
            for found in _find_differences(f"{path}.{i}", a, b)
        ]
    return [(path, old, new)]


def _show(value: Any) -> str:
    text = "not there" if value is None else str(value)
    return text if len(text) <= 120 else text[:117] + "..."
