"""Find the columns of a table whose files differ: one type for each, which loses nothing.

The schema is that of all files and not of the first one. Which type holds which is in
`merge_types.py`, reading the files so in `typed_files.py`.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.errors import LakeError
from headrace.lake.file_columns import UNKNOWN_TYPE, FileColumns, FileType
from headrace.source.merge_types import (
    INTEGERS,
    REALS,
    can_be_said,
    find_unreadable,
    merge_types,
    show_type,
)

_SHOWN_FILES = 3


@dataclass(frozen=True)
class CommonColumn:
    """A column of a table.

    Attributes:
        name: as the table has it.
        kind: its type, which holds the values of all files.
        spellings: its names in the files, its own first.
        kinds: its types in the files.
    """

    name: str
    kind: FileType
    spellings: tuple[str, ...]
    kinds: tuple[FileType, ...]


@dataclass(frozen=True)
class CommonColumns:
    """The columns of a table, of all its files.

    Attributes:
        columns: those that are read, in the order in which they appear.
        unread: column -> why Spark does not read it; nobody wants them.
        notes: what else a reader should know, for people.
    """

    columns: tuple[CommonColumn, ...]
    unread: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def find_common_columns(
    schemas: Sequence[tuple[FileColumns, list[str]]],
    wanted: Collection[str],
    declared: Collection[str] = (),
    *,
    spelled: Collection[str] = (),
    nanoseconds: bool = False,
    needs_all: bool = False,
) -> CommonColumns:
    """Find the columns of a table by those of all its files.

    A column that some files spell otherwise is one column, where no file has both spellings. What
    no common type holds is read as text, where its type is declared or nobody wants it.

    Args:
        schemas: columns, and the paths of all files that have them.
        wanted: columns that are used; without them nothing can be done.
        declared: columns whose type the recipe declares.
        spelled: names that a column has in the table though no file spells it so.
        nanoseconds: whether timestamps in nanoseconds are read as whole numbers.
        needs_all: whether a wanted column has to be in every file.

    Raises:
        LakeError: with all problems of wanted columns: no common type, a type that Spark does not
            read, two columns of one name in a file, a file without it where `needs_all`.
    """
    count = sum(len(paths) for _, paths in schemas)
    names = _choose_names([columns for columns, _ in schemas], wanted, spelled)
    columns, unread, notes, problems = [], {}, [], []
    for name, spellings in names.items():
        found = _find_places(schemas, spellings)
        may_be_text = name in declared or name not in wanted
        column, reason = _merge_column(name, spellings, found, may_be_text, nanoseconds)
        if any(kind == UNKNOWN_TYPE for _, kind, _ in found):  # Spark fails on the whole file
            problems.append(f"column {name!r} {reason}")
            continue
        if column is None or name not in wanted:
            if column is None and name in wanted:
                problems.append(f"column {name!r} {reason}")
            elif column is None:
                unread[name] = str(reason)
            else:
                columns.append(column)
            continue
        columns.append(column)
        notes += _describe_differences(column, found, count)
        lacking = _find_lacking(schemas, spellings)
        if lacking and needs_all:
            problems.append(
                f"column {name!r} is not in {show_paths(lacking)}, and mergeSchema is false; "
                "leave mergeSchema out to have nulls there"
            )
        elif lacking:
            notes.append(
                f"column {name!r} is not in {len(lacking):,} of {count:,} files, and null "
                f"there: {show_paths(lacking)}"
            )
    if problems:
        raise LakeError("; ".join(problems))
    return CommonColumns(tuple(columns), unread, tuple(notes))


def _choose_names(
    schemas: Iterable[FileColumns], wanted: Collection[str], spelled: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Choose a name for each column: the wanted spelling, else the first; and list them all."""
    requested: dict[str, list[str]] = defaultdict(list)
    for name in spelled:
        requested[name.lower()].append(name)
    spellings: dict[str, dict[str, None]] = defaultdict(dict)
    apart: set[str] = set()
    for columns in schemas:
        found = Counter(name.lower() for name in {name for name, _ in columns})
        apart |= {name for name, count in found.items() if count > 1}
        for name, _ in columns:
            spellings[name.lower()].setdefault(name)
    names: dict[str, tuple[str, ...]] = {}
    for lower, variants in spellings.items():
        used = [name for name in variants if name in wanted]
        if not used and lower not in apart:
            used = requested[lower]
        if lower in apart or len(used) > 1:
            names |= {name: (name,) for name in variants}
            continue
        chosen = used[0] if used else next(iter(variants))
        names[chosen] = (chosen, *(name for name in variants if name != chosen))
    return names


def _find_places(
    schemas: Sequence[tuple[FileColumns, list[str]]], spellings: tuple[str, ...]
) -> list[tuple[str, FileType, list[str]]]:
    """Return name, type and files of a column wherever it is."""
    return [
        (name, kind, paths)
        for columns, paths in schemas
        for name, kind in columns
        if name in spellings
    ]


def _find_lacking(
    schemas: Sequence[tuple[FileColumns, list[str]]], spellings: tuple[str, ...]
) -> list[str]:
    return [
        path
        for columns, paths in schemas
        if not any(name in spellings for name, _ in columns)
        for path in paths
    ]


def _merge_column(
    name: str,
    spellings: tuple[str, ...],
    found: list[tuple[str, FileType, list[str]]],
    may_be_text: bool,
    nanoseconds: bool,
) -> tuple[CommonColumn | None, str | None]:
    """Return a column; or None, and why it cannot be read."""
    firsts = Counter(paths[0] for _, _, paths in found)
    doubled = [path for path, count in firsts.items() if count > 1]
    if doubled:
        return None, f"is there {firsts[doubled[0]]} times in {doubled[0]}; rewrite the file"
    for _, kind, paths in found:
        if reason := find_unreadable(kind, nanoseconds=nanoseconds):
            return None, f"is {reason} ({show_paths(paths)})"
    kinds: list[FileType] = []
    for _, stored, _ in found:
        kind = "int64" if stored == "timestamp_ns" else stored
        if kind not in kinds:
            kinds.append(kind)
    # Reals first: each decimal has to be exact as float64, not the decimal that holds all of them.
    merged: FileType | None = "null"
    for kind in sorted(kinds, key=lambda kind: kind not in REALS):
        merged = merge_types(merged, kind) if merged is not None else None
    if merged is None and may_be_text and all(can_be_said(kind) for kind in kinds):
        merged = "string"
    if merged is not None:
        return CommonColumn(name, merged, spellings, tuple(kinds)), None
    listed = ", ".join(f"{show_type(kind)} in {show_paths(p)}" for _, kind, p in found)
    fix = (
        ", or declare its type in `columns`, which every value is cast to then"
        if all(can_be_said(kind) for kind in kinds)
        else ""
    )
    return None, f"has types that no common one holds: {listed}; rewrite the files{fix}"


def _describe_differences(
    column: CommonColumn, found: list[tuple[str, FileType, list[str]]], count: int
) -> list[str]:
    """Describe what a reader of a wanted column should know of the files."""
    notes = []
    other = [(name, path) for name, _, paths in found if name != column.name for path in paths]
    if other:
        names = ", ".join(repr(name) for name in dict.fromkeys(name for name, _ in other))
        notes.append(
            f"column {column.name!r} is {names} in {len(other):,} of {count:,} files: "
            f"{show_paths([path for _, path in other])}"
        )
    by_kind: dict[str, list[str]] = defaultdict(list)
    for _, kind, paths in found:
        by_kind[show_type(kind)] += paths
    if {*by_kind} - {*INTEGERS, "null"} and len({*by_kind} - {"null"}) > 1:
        listed = ", ".join(f"{kind} in {show_paths(paths)}" for kind, paths in by_kind.items())
        notes.append(f"column {column.name!r} is read as {show_type(column.kind)}: {listed}")
    return notes


def show_paths(paths: list[str]) -> str:
    """Return some paths, and how many more there are."""
    more = len(paths) - _SHOWN_FILES
    shown = ", ".join(path or "the file" for path in paths[:_SHOWN_FILES])
    return shown + (f" and {more:,} more" if more > 0 else "")
