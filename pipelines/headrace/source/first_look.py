"""Look at a recipe's tables without Spark: are they there, and which columns do they have?

A build lists its tables again, and is the judge; here it is asked what would end it, in a second.
Tables of remote stores are looked at on request alone, and at footers only where files are few.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.errors import LakeError, Problem
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.schema import ColumnType, find_violations
from headrace.source.contract import list_needed_columns, list_required_columns
from headrace.source.list_table import list_table
from headrace.source.listed_columns import (
    LakeMistakes,
    find_lake_mistakes,
    find_listed_names,
    refuse_mistakes,
)
from headrace.source.listed_types import find_listed_types, join_listed_types
from headrace.source.listing import Listing
from headrace.source.needed_columns import NeededColumns
from headrace.transform.literals import list_literal_problems

_MAX_FOOTERS = 256  # 0.2 s on a local disk


@dataclass(frozen=True)
class TableLook:
    """What was seen of a table.

    Attributes:
        files: how many it has; None where they were not listed.
        names: its columns; None where they are not known.
        types: of columns, as far as they are known.
        error: why it cannot be read, where that is certain; it names the key to change.
        unseen: what was not looked at, and why; "" where all was.
    """

    files: int | None = None
    names: frozenset[str] | None = None
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    error: str = ""
    unseen: str = ""


def look_at_tables(recipe: Recipe, *, remote: bool = False) -> dict[str, TableLook]:
    """Look at every table of a recipe.

    Args:
        recipe: its source.
        remote: whether stores are asked that are not on this machine.
    """
    needed = list_needed_columns(recipe)
    return {
        name: _look_at_table(name, table, needed.get(name), remote)
        for name, table in recipe.source.tables.items()
    }


def find_mistakes(recipe: Recipe, looks: Mapping[str, TableLook]) -> LakeMistakes:
    """Find columns that no table has, and mistakes of SQL; see `find_lake_mistakes`.

    Literals of rules that are none of their columns' types are certain too. A column of a type that
    nothing takes is suspected: it is taken as missing where it has no value.
    """
    found = find_lake_mistakes(recipe, {name: look.names for name, look in looks.items()})
    types = join_listed_types(recipe, {name: look.types for name, look in looks.items()})
    required = [column for table, column in list_required_columns(recipe) if table == ""]
    suspicions = [
        Problem(column.needed_by.partition(" ")[0], violation, "or has it no value at all?")
        for column in required
        if column.name in types
        for violation in find_violations([column], types)
    ]
    return LakeMistakes(
        (*found.missing, *list_literal_problems(recipe, types)),
        (*found.suspicions, *recipe.locate(suspicions)),
    )


def refuse_certain_mistakes(recipe: Recipe) -> None:
    """Refuse local tables that are not there, and columns that no file has.

    Raises:
        LakeError: with what would end a build for certain.
    """
    looks = look_at_tables(recipe)
    for look in looks.values():
        if look.error:
            raise LakeError(look.error)
    refuse_mistakes(find_mistakes(recipe, looks))


def is_local(path: str) -> bool:
    """Return whether a path is one of this machine's file system."""
    return "://" not in path or path.startswith("file:")


def _look_at_table(
    name: str, table: s.Table, needed: NeededColumns | None, remote: bool
) -> TableLook:
    if table.path is None:
        return TableLook(unseen=f"{table.table} is in Spark's catalog, which Spark alone can ask")
    if not is_local(table.path) and not remote:
        return TableLook(unseen="it is in a remote store, which is asked with --remote")
    try:
        listing = list_table(table, {}, name, open_footers=False)
        footers = _has_footers(table, listing)
        if footers and len(footers.files) <= _MAX_FOOTERS:
            listing = list_table(table, {}, name)
    except LakeError as error:
        return TableLook(error=str(error))
    if listing is None:
        return TableLook(unseen="its files are known to Spark alone")
    files = len(listing.files)
    names, types = find_listed_names(table, listing, needed), _find_types(table, listing)
    if names is not None:
        return TableLook(files, names, types)
    if footers and files > _MAX_FOOTERS:
        why = f"it has {files:,} files, more than {_MAX_FOOTERS} whose footers are opened here"
    else:
        why = f"{table.format} files do not tell them to anything but Spark"
    return TableLook(files, types=types, unseen=f"columns: {why}")


def _find_types(table: s.Table, listing: Listing) -> dict[str, ColumnType]:
    try:
        return find_listed_types(table, listing)
    except LakeError:  # what reads the files says what is wrong
        return {}


def _has_footers(table: s.Table, listing: Listing | None) -> Listing | None:
    """Return the listing where the columns of the table are in footers alone."""
    if listing is None or table.file_format not in ("parquet", "orc"):
        return None
    return None if listing.log is not None and listing.log.schema else listing
