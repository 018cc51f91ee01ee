"""What a recipe wants of the tables' columns, checked before any row is read."""

from collections.abc import Sequence

from headrace.errors import LakeError
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.schema import Column, ColumnType, violations
from headrace.source.tables import RawTable

_ANY = frozenset(ColumnType)
_C = ColumnType
_NUMBER = frozenset({_C.INTEGER, _C.REAL, _C.BOOLEAN})
_CATEGORY = frozenset({_C.INTEGER, _C.STRING, _C.BOOLEAN})
_TIME = frozenset({_C.TIMESTAMP})
_INTEGER = frozenset({_C.INTEGER})
_ONE_VALUE = _NUMBER | _CATEGORY | _TIME
_WANTED = {
    **dict.fromkeys(("standardize", "min_max", "robust", "log1p", "cyclic"), _NUMBER),
    **dict.fromkeys(("quantile_buckets", "fixed_buckets", "difference"), _NUMBER),
    **dict.fromkeys(("vocabulary", "hash", "cross"), _CATEGORY),
    **dict.fromkeys(("day_of_week", "hour_of_day", "minute_of_day"), _INTEGER),
    **dict.fromkeys(("time_part", "seconds_since"), _TIME),
    "multi_valued": frozenset({_C.INTEGERS, _C.STRINGS}),
    "text": frozenset({_C.STRING}),
    "series": frozenset({_C.INTEGERS, _C.REALS}),
    "image": frozenset({_C.BINARY, _C.INTEGERS}),
}


def raw_columns(recipe: Recipe) -> list[str]:
    """Raw columns that features and derivations read, each once, in the recipe's order."""
    return list(dict.fromkeys(name for name, _ in _read_by_features(recipe)))


def wanted_columns(
    recipe: Recipe, contract: Sequence[Column] | None = None
) -> dict[str, list[str]]:
    """Table -> columns that are wanted and that no join or window makes.

    Args:
        recipe: source, and all sections that name columns.
        contract: what the joined rows must have; all that the recipe names by default.
    """
    source = recipe.source
    made = {name for join in source.joins for name in join.columns}
    if source.windows:
        made |= {*source.windows.columns, *source.windows.targets}
    main = [c.name for c in _contract(recipe, contract)]
    wanted = {source.main: [c for c in dict.fromkeys(main) if c not in made]}
    for join in source.joins:
        wanted.setdefault(join.table, []).extend([*join.key, *join.columns.values()])
    return wanted


def check_contracts(
    recipe: Recipe, tables: dict[str, RawTable], contract: Sequence[Column] | None = None
) -> None:
    """Compare what is wanted with the columns of the opened tables.

    Args:
        recipe, contract: see `wanted_columns`.
        tables: by name.

    Raises:
        LakeError: with every violation.
    """
    source = recipe.source
    problems = [problem for table in tables.values() for problem in table.problems]
    found = {name: table.types for name, table in tables.items()}
    main = dict(found[source.main])
    joined: dict[str, ColumnType] = {}
    for index, join in enumerate(source.joins):
        problems += _join_problems(f"source.joins.{index}", join, source.main, found, main | joined)
        for name, column in join.columns.items():
            if column in found[join.table]:
                joined[name] = found[join.table][column]
    there = main | joined
    made = {name for join in source.joins for name in join.columns}
    if source.windows:
        there, more = _with_windows(source.windows, there, main)
        problems += [f"table {source.main!r}: {p}" for p in more]
        made |= {*source.windows.columns, *source.windows.targets}
    # A joined column that is missing was reported with its join.
    of_main = [c for c in _contract(recipe, contract) if c.name in there or c.name not in made]
    problems += [f"table {source.main!r}: {v}" for v in violations(of_main, there)]
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in dict.fromkeys(problems))
        raise LakeError(f"the lake does not fit the recipe; nothing was published:\n{lines}")


def _contract(recipe: Recipe, contract: Sequence[Column] | None) -> Sequence[Column]:
    return _contract_of_main(recipe) if contract is None else contract


def _read_by_features(recipe: Recipe) -> list[tuple[str, Column]]:
    wanted = []
    for name, item in recipe.derive.items():
        for column in item.columns:
            why = f"derive.{name} ({item.kind})"
            wanted.append((column, Column(column, _WANTED[item.kind], why)))
    for name, feature in recipe.features.items():
        for column in s.columns_of(name, feature):
            if column not in recipe.derive:
                why = f"features.{name} ({feature.kind})"
                wanted.append((column, Column(column, _WANTED[feature.kind], why)))
    return wanted


def _contract_of_main(recipe: Recipe) -> list[Column]:
    """Columns that the joined rows must have; expressions are left to Spark."""
    split, dedup = recipe.split, recipe.clean.dedup
    contract = [Column(c, _ANY, "split.key") for c in split.key or []]
    if split.time:
        contract.append(Column(split.time.column, _TIME, "split.time.column"))
    if dedup:
        contract += [Column(c, _ANY, "clean.dedup.key") for c in dedup.key]
        if dedup.latest_by:
            contract.append(Column(dedup.latest_by, _ANY, "clean.dedup.latest_by"))
    for index, rule in enumerate(recipe.clean.rules):
        columns = getattr(rule, "columns", None) or [getattr(rule, "column", None)]
        where = f"clean.rules.{index} ({rule.kind})"
        contract += [Column(c, _ANY, where) for c in columns if c is not None]
    contract += [Column(c, _ANY, "unavailable") for c in recipe.unavailable]
    contract += [Column(c, _ONE_VALUE, "dataset.keep") for c in recipe.dataset.keep]
    return contract + [column for _, column in _read_by_features(recipe)]


def _join_problems(
    where: str,
    join: s.Join,
    main: str,
    found: dict[str, dict[str, ColumnType]],
    left: dict[str, ColumnType],
) -> list[str]:
    right = found[join.table]
    contract = [Column(c, _ANY, f"{where}.key") for c in join.key]
    problems = [f"table {main!r}: {v}" for v in violations(contract, left)]
    contract += [Column(c, _ANY, f"{where}.columns.{n}") for n, c in join.columns.items()]
    problems += [f"table {join.table!r}: {v}" for v in violations(contract, right)]
    for key in join.key:
        left_type, right_type = left.get(key), right.get(key)
        if left_type and right_type and left_type != right_type:
            problems.append(
                f"{where}.key: {key!r} is {left_type.value} in {main!r} and "
                f"{right_type.value} in {join.table!r}; a join needs equal types, which "
                f"source.tables.{join.table}.columns can declare"
            )
    problems += [
        f"{where}.columns.{name}: table {main!r} has its own column {name!r}; "
        "give the joined column another name"
        for name in join.columns
        if name in found[main]
    ]
    return problems


def _with_windows(
    windows: s.Windows, there: dict[str, ColumnType], main: dict[str, ColumnType]
) -> tuple[dict[str, ColumnType], list[str]]:
    contract = [Column(c, _ANY, "source.windows.key") for c in windows.key]
    contract.append(Column(windows.order, _TIME, "source.windows.order"))
    for part in ("columns", "targets"):
        for name, column in getattr(windows, part).items():
            contract.append(Column(column, _NUMBER, f"source.windows.{part}.{name}"))
    problems = violations(contract, there)
    problems += [
        f"source.windows: there is a column {name!r} already; give the new one another name"
        for name in [*windows.columns, *windows.targets]
        if name in there
    ]
    made = dict.fromkeys(windows.columns, ColumnType.REALS)
    return there | made | dict.fromkeys(windows.targets, ColumnType.REAL), problems
