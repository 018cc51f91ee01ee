"""Tell the names of a table's columns by what is known before Spark starts, and which are missing.

Logs and footers name them all; so does the header of CSV files. What nothing but Spark knows is
left to it: columns are missing only where all names are known.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json import loads
from pathlib import Path

from headrace.errors import LakeError, Problem, RecipeMismatchError
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.schema import Column, ColumnType, find_violations
from headrace.source.common_columns import find_common_columns
from headrace.source.contract import list_needed_columns, list_required_columns
from headrace.source.listing import Listing
from headrace.source.needed_columns import NeededColumns
from headrace.source.sql_texts import check_sql, list_sql_texts

_ANY = frozenset(ColumnType)
_MAX_HEADER_CHARACTERS = 2**20
_HEADER_OPTIONS = frozenset({"sep", "delimiter", "header", "quote", "escape", "nullvalue",
                             "enforceschema", "basepath", "emptyvalue", "encoding"})  # fmt: skip
"""Options of CSV, in small letters, under which a header is read here as Spark reads it."""

Names = Mapping[str, frozenset[str] | None]
"""Table -> its columns; None where only Spark knows them."""


@dataclass(frozen=True)
class LakeMistakes:
    """What a recipe says of tables and cannot be.

    Attributes:
        missing: columns that are in no file, or there already where one is added, for certain.
        suspicions: of its SQL; Spark decides.
    """

    missing: tuple[Problem, ...]
    suspicions: tuple[Problem, ...]


def refuse_missing_columns(
    recipe: Recipe, listings: Mapping[str, Listing | None]
) -> tuple[Problem, ...]:
    """Refuse columns that are in no file of their table, as far as its columns are known.

    Args:
        recipe: all that names columns is read.
        listings: table -> its files, for those that were listed.

    Returns:
        what is suspected of its SQL.

    Raises:
        RecipeMismatchError: with every such column.
    """
    needed = list_needed_columns(recipe)
    names = {
        name: find_listed_names(recipe.source.tables[name], listing, needed.get(name))
        for name, listing in listings.items()
    }
    return refuse_mistakes(find_lake_mistakes(recipe, names))


def refuse_mistakes(mistakes: LakeMistakes) -> tuple[Problem, ...]:
    """Refuse columns that are missing; return what is suspected.

    Raises:
        RecipeMismatchError: with all that are missing, where there is any.
    """
    if mistakes.missing:
        lines = "\n".join(f"  - {problem}" for problem in mistakes.missing)
        raise RecipeMismatchError(
            f"the lake does not fit the recipe; nothing was published:\n{lines}"
        )
    return mistakes.suspicions


def find_listed_names(
    table: s.Table, listing: Listing | None, needed: NeededColumns | None = None
) -> frozenset[str] | None:
    """Find the names of a table's columns.

    Args:
        table: the recipe's.
        listing: its files, with footers where the format has them; None where they are not known.
        needed: columns of it that the recipe uses: one that all files spell in other capitals is
            known by the recipe's spelling, as where Spark reads them.

    Returns:
        None where only Spark knows them.
    """
    if listing is None or not listing.files:
        return None
    folders = {name for path in listing.files for name in listing.get_values(path)}
    if listing.log is not None and listing.log.schema:
        fields = loads(listing.log.schema)["fields"]
        return frozenset({*folders, *listing.log.unread, *(field["name"] for field in fields)})
    if table.file_format == "csv":
        header = _read_header(table, listing)
        return None if header is None else frozenset({*folders, *header})
    groups, unknown = listing.group_by_columns(listing.files)
    if unknown or not groups:
        return None
    wanted, spelled = (needed.all_names, [*needed.types]) if needed else (frozenset(), [])
    try:
        common = find_common_columns(
            groups, wanted - folders, table.columns, spelled=spelled, nanoseconds=True
        )
    except LakeError:  # what reads them says what is wrong
        return None
    return frozenset({*folders, *common.unread, *(column.name for column in common.columns)})


def find_lake_mistakes(recipe: Recipe, names: Names) -> LakeMistakes:
    """Find the columns that a recipe names and no table has, and mistakes of its SQL.

    Args:
        recipe: its lines are part of the problems.
        names: the columns of tables; one that is left out is not known.
    """
    source = recipe.source
    rows = _join_names(recipe, names)
    missing: dict[tuple[str, str], Problem] = {}
    for table, required in list_required_columns(recipe):
        columns = rows if table == "" else names.get(table)
        if columns is None:
            continue
        for problem in _find_missing(table or source.main, required, columns):
            missing.setdefault((problem.where, problem.message), problem)
    for problem in _find_taken_names(source, names.get(source.main)):
        missing.setdefault((problem.where, problem.message), problem)
    suspicions: list[Problem] = []
    for sql in list_sql_texts(recipe):
        found = check_sql(sql, rows if sql.table == "" else names.get(sql.table))
        missing |= {(p.where, p.message): p for p in found.mistakes}
        suspicions += found.suspicions
    located = recipe.locate(missing.values())
    located.sort(key=lambda problem: problem.line or 0)
    return LakeMistakes(tuple(located), tuple(recipe.locate(suspicions)))


def _find_taken_names(source: s.Source, main: frozenset[str] | None) -> Iterator[Problem]:
    """Find columns of joins that the main table has already."""
    for index, join in enumerate(source.joins):
        for name in join.columns:
            if main is not None and name in main:
                text = f"table {source.main!r} has its own column {name!r}"
                fix = "give the joined column another name"
                yield Problem(f"source.joins.{index}.columns.{name}", text, fix)


def _join_names(recipe: Recipe, names: Names) -> frozenset[str] | None:
    """Return the columns of the joined rows, those that joins and windows add included."""
    source = recipe.source
    main = names.get(source.main)
    if main is None:
        return None
    added = {name for join in source.joins for name in join.columns}
    if source.windows:
        added |= {*source.windows.columns, *source.windows.targets}
    return main | added


def _find_missing(table: str, column: Column, columns: frozenset[str]) -> Iterator[Problem]:
    contract = [Column(column.name, _ANY, column.needed_by)]
    types = dict.fromkeys(columns, ColumnType.OTHER)
    key = column.needed_by.partition(" ")[0]
    for violation in find_violations(contract, types):
        yield Problem(key, f"table {table!r}: {violation}")


def _read_header(table: s.Table, listing: Listing) -> list[str] | None:
    """Read the names of CSV columns; None where Spark may read others."""
    options = {key.lower(): value for key, value in table.options.items()}
    separator = str(options.get("sep", options.get("delimiter", ",")))
    quote = str(options.get("quote", '"'))
    encoding = str(options.get("encoding", "utf-8")).lower().replace("_", "-")
    is_read = {*options} <= _HEADER_OPTIONS and encoding in ("utf-8", "utf8", "us-ascii")
    (url,) = listing.list_urls([min(listing.files)])
    path = Path("/" + url.removeprefix("file:").lstrip("/") if url.startswith("file:") else url)
    if not is_read or "://" in url or path.suffix not in (".csv", ".txt", ".tsv", ""):
        return None
    if len(separator) != 1 or len(quote) > 1:
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(_MAX_HEADER_CHARACTERS)
    except (OSError, UnicodeDecodeError):
        return None
    if quote:
        rows = [*csv.reader([line], delimiter=separator, quotechar=quote)]
    else:
        rows = [*csv.reader([line], delimiter=separator, quoting=csv.QUOTE_NONE)]
    if len(rows) != 1 or not line.strip():
        return None
    if str(options.get("header", True)).lower() == "false":
        return [f"_c{position}" for position in range(len(rows[0]))]
    header = rows[0]
    lowered = {name.lower() for name in header}
    # Spark numbers names that are empty or there twice.
    is_plain = all(name and name == name.strip() for name in header) and len(lowered) == len(header)
    return header if is_plain else None
