"""Check before any row is read that the tables have the columns that the recipe needs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from headrace.errors import LakeError
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.recipe.expression_checks import list_expressions
from headrace.recipe.sql_text import find_column_names
from headrace.schema import CATEGORIES, NUMBERS, Column, ColumnType, find_violations
from headrace.source.keys import find_key_problems
from headrace.source.needed_columns import NeededColumns
from headrace.source.raw_schema import RawSchema
from headrace.source.tables import TableColumns
from headrace.transform.literals import find_literal_problems

if TYPE_CHECKING:
    from pyspark.sql.types import DataType

_ANY = frozenset(ColumnType)
_TIME = frozenset({ColumnType.TIMESTAMP})
_ONE_VALUE = NUMBERS | CATEGORIES | _TIME


def list_raw_columns(recipe: Recipe) -> list[str]:
    """Return the raw columns that features and derivations read, each once, in their order."""
    return list(dict.fromkeys(name for name, _ in _require_of_features(recipe)))


def list_needed_columns(
    recipe: Recipe, contract: Sequence[Column] | None = None
) -> dict[str, NeededColumns]:
    """Return the columns that are needed of every table; joins and windows make the others.

    Args:
        recipe: source, and all sections that name columns.
        contract: what the joined rows must have; all that the recipe names by default.
    """
    source = recipe.source
    added = _list_added_columns(recipe)
    accepted: dict[str, frozenset[ColumnType]] = {}
    for column in _get_contract(recipe, contract):
        accepted[column.name] = accepted.get(column.name, _ANY) & column.types
    needed = {source.main: {name: t for name, t in accepted.items() if name not in added}}
    for join in source.joins:
        types = needed.setdefault(join.table, {})
        types |= dict.fromkeys(join.key, _ANY)
        types |= {column: accepted.get(name, _ANY) for name, column in join.columns.items()}
    words = {name: _list_words(recipe, name) for name in needed}
    return {name: NeededColumns(types, words[name]) for name, types in needed.items()}


def list_sql(recipe: Recipe, name: str) -> list[str]:
    """Return the SQL that a recipe has of a table."""
    tables = (name, "") if name == recipe.source.main else (name,)
    texts = list_expressions(recipe.source, recipe.label, recipe.clean)
    return [text for _, text, table in texts if table in tables]


def _list_words(recipe: Recipe, name: str) -> frozenset[str]:
    """Return words that the recipe's SQL has of a table; its declared columns as well."""
    source, table = recipe.source, recipe.source.tables[name]
    words = {*table.columns}
    if name == source.main:
        words |= {key for join in source.joins for key in join.key}
        if source.windows:
            windows = source.windows
            words |= {*windows.key, windows.order, *windows.columns.values()}
            words |= {*windows.targets.values()}
    for text in list_sql(recipe, name):
        words |= {*find_column_names(text)}
    return frozenset(words)


def list_required_columns(recipe: Recipe) -> Iterator[tuple[str, Column]]:
    """List the columns that a recipe names, each with its table; "" for the joined rows."""
    source = recipe.source
    for name, table in source.tables.items():
        for column in table.columns:
            yield name, Column(column, _ANY, f"source.tables.{name}.columns.{column}")
    for index, join in enumerate(source.joins):
        where = f"source.joins.{index}"
        for key in join.key:
            yield join.table, Column(key, _ANY, f"{where}.key")
            yield "", Column(key, _ANY, f"{where}.key")
        for name, column in join.columns.items():
            yield join.table, Column(column, _ANY, f"{where}.columns.{name}")
    windows = _require_of_windows(source.windows) if source.windows else []
    for required in (*windows, *_build_contract(recipe)):
        yield "", required


def check_contracts(
    recipe: Recipe, tables: Mapping[str, TableColumns], contract: Sequence[Column] | None = None
) -> None:
    """Compare what is needed with the columns of the opened tables.

    Args:
        recipe, contract: see `list_needed_columns`.
        tables: by name.

    Raises:
        LakeError: with every violation.
    """
    source = recipe.source
    problems = [problem for table in tables.values() for problem in table.problems]
    types = {name: table.schema.raw_types for name, table in tables.items()}
    main = dict(types[source.main])
    joined: dict[str, ColumnType] = {}
    for index, join in enumerate(source.joins):
        problems += _find_join_problems(
            f"source.joins.{index}", join, source.main, types, main | joined
        )
        for name, column in join.columns.items():
            if column in types[join.table]:
                joined[name] = types[join.table][column]
    rows = main | joined
    if source.windows:
        rows, window_problems = _add_window_columns(source.windows, rows)
        problems += [f"table {source.main!r}: {p}" for p in window_problems]
    added = _list_added_columns(recipe)
    # A joined column that is missing was reported with its join.
    required = [
        column
        for column in _get_contract(recipe, contract)
        if column.name in rows or column.name not in added
    ]
    problems += [f"table {source.main!r}: {v}" for v in find_violations(required, rows)]
    has_other_types = any(c.name in rows and rows[c.name] not in c.types for c in required)
    problems += find_literal_problems(recipe, rows)
    schema = _join_schemas(recipe, tables)
    problems += find_key_problems(recipe, schema)
    problems += _find_zone_problems(recipe, schema)
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in dict.fromkeys(problems))
        fix = (
            f"\nDeclare a column's type in source.tables.{source.main}.columns to have it cast; "
            "values that are none of it go to quarantine"
        )
        raise LakeError(
            f"the lake does not fit the recipe; nothing was published:\n{lines}"
            f"{fix if has_other_types else ''}"
        )


def _find_zone_problems(recipe: Recipe, schema: RawSchema) -> list[str]:
    """Return the derivations that would read a clock in a zone of dates, which have none."""
    return [
        f"derive.{name}.time_zone: {column!r} is a date, the same in every zone; leave the key out"
        for name, item in recipe.derive.items()
        if isinstance(item, s.TimePart) and item.time_zone != "UTC"
        for column in item.columns
        if schema.sql_types.get(column) == "date"
    ]


def _join_schemas(recipe: Recipe, tables: Mapping[str, TableColumns]) -> RawSchema:
    """Return the schema that the main table's rows have when they are joined."""
    joined: dict[str, DataType] = {}
    for join in recipe.source.joins:
        types = tables[join.table].schema.spark_types
        joined |= {name: types[c] for name, c in join.columns.items() if c in types}
    return tables[recipe.source.main].schema.with_columns(joined)


def _list_added_columns(recipe: Recipe) -> set[str]:
    """Return the columns that joins and windows add to the main table's."""
    source = recipe.source
    added = {name for join in source.joins for name in join.columns}
    return added | ({*source.windows.columns, *source.windows.targets} if source.windows else set())


def _get_contract(recipe: Recipe, contract: Sequence[Column] | None) -> Sequence[Column]:
    return _build_contract(recipe) if contract is None else contract


def _require_of_features(recipe: Recipe) -> list[tuple[str, Column]]:
    """Return every raw column that a derivation or feature reads, with the types it accepts."""
    required = []
    for name, item in recipe.derive.items():
        for column in item.columns:
            why = f"derive.{name} ({item.kind})"
            required.append((column, Column(column, item.accepted_types, why)))
    for name, feature in recipe.features.items():
        for column in feature.list_source_columns(name):
            if column not in recipe.derive:
                why = f"features.{name} ({feature.kind})"
                required.append((column, Column(column, feature.accepted_types, why)))
    return required


def _build_contract(recipe: Recipe) -> list[Column]:
    """Return the columns that the joined rows must have; expressions are left to Spark."""
    split, dedup = recipe.split, recipe.clean.dedup
    contract = [Column(c, _ANY, "split.key") for c in split.key or []]
    if split.time:
        contract.append(Column(split.time.column, _TIME, "split.time.column"))
    if dedup:
        contract += [Column(c, _ANY, "clean.dedup.key") for c in dedup.key]
        if dedup.latest_by:
            contract.append(Column(dedup.latest_by, _ANY, "clean.dedup.latest_by"))
    for index, rule in enumerate(recipe.clean.rules):
        where = f"clean.rules.{index} ({rule.kind})"
        contract += [Column(c, _ANY, where) for c in rule.list_columns()]
    contract += [Column(c, _ANY, "unavailable") for c in recipe.unavailable]
    contract += [Column(c, _ONE_VALUE, "dataset.keep") for c in recipe.dataset.keep]
    return contract + [column for _, column in _require_of_features(recipe)]


def _find_join_problems(
    where: str,
    join: s.Join,
    main: str,
    types: dict[str, dict[str, ColumnType]],
    main_types: dict[str, ColumnType],
) -> list[str]:
    """Return what is wrong with the columns of a join."""
    joined_types = types[join.table]
    contract = [Column(c, _ANY, f"{where}.key") for c in join.key]
    problems = [f"table {main!r}: {v}" for v in find_violations(contract, main_types)]
    contract += [Column(c, _ANY, f"{where}.columns.{n}") for n, c in join.columns.items()]
    problems += [f"table {join.table!r}: {v}" for v in find_violations(contract, joined_types)]
    for key in join.key:
        main_type, joined_type = main_types.get(key), joined_types.get(key)
        if main_type and joined_type and main_type != joined_type:
            problems.append(
                f"{where}.key: {key!r} is {main_type.value} in {main!r} and "
                f"{joined_type.value} in {join.table!r}; a join needs equal types, which "
                f"source.tables.{join.table}.columns can declare"
            )
    problems += [
        f"{where}.columns.{name}: table {main!r} has its own column {name!r}; "
        "give the joined column another name"
        for name in join.columns
        if name in types[main]
    ]
    return problems


def _require_of_windows(windows: s.Windows) -> list[Column]:
    """Return the columns that windows are made of."""
    contract = [Column(c, _ANY, "source.windows.key") for c in windows.key]
    contract.append(Column(windows.order, _TIME, "source.windows.order"))
    for part in ("columns", "targets"):
        for name, column in getattr(windows, part).items():
            contract.append(Column(column, NUMBERS, f"source.windows.{part}.{name}"))
    return contract


def _add_window_columns(
    windows: s.Windows, rows: dict[str, ColumnType]
) -> tuple[dict[str, ColumnType], list[str]]:
    """Add the columns of windows to those of the rows; return them, and what is wrong with them."""
    problems = find_violations(_require_of_windows(windows), rows)
    problems += [
        f"source.windows: there is a column {name!r} already; give the new one another name"
        for name in [*windows.columns, *windows.targets]
        if name in rows
    ]
    added = dict.fromkeys(windows.columns, ColumnType.REALS)
    return rows | added | dict.fromkeys(windows.targets, ColumnType.REAL), problems
