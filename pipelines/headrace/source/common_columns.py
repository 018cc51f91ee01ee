"""Find the columns of a table whose files differ: one type for each, which loses nothing.

The schema is that of all files and not of the first one. Reading them so is in `typed_files.py`.

    null < int8 < … < int64 < decimal      null < float < double      null < date < timestamp
    int64 < double   where every value is exact as float64, which is checked when it is read
    decimal < double where it has at most 15 digits
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.errors import LakeError
from headrace.lake.file_columns import UNKNOWN_TYPE, FileColumns, FileType

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
_REALS = ("float", "double")
_TEXTS = ("string", "char", "binary")
_TIMES = ("timestamp", "timestamp_ntz")
_WORDS = (*_INTEGERS, *_REALS, *_TEXTS, *_TIMES, "uint64", "boolean", "date", "null")
# What a text says as well as the value does.
_SAYABLE = (*_INTEGERS, *_REALS, *_TIMES, "uint64", "boolean", "date", "null", "string", "char")
_DECIMAL = re.compile(r"decimal\((\d+),(-?\d+)\)")
_MAX_DIGITS, _EXACT_DIGITS, _LONG_DIGITS = 38, 15, 19
_SHOWN_FILES = 3
_FIXES = {
    "timestamp_ns": (
        "a timestamp in nanoseconds, which Spark does not read; write microseconds (pandas: "
        'to_parquet(..., coerce_timestamps="us")), or set spark.conf '
        "spark.sql.legacy.parquet.nanosAsLong to true to have whole numbers"
    ),
    "time": "a time of day, which Spark does not read; write it as a text, or as minutes",
    UNKNOWN_TYPE: "of a type that a later version of Parquet has; write another type",
    "decimal of variable bytes": (
        "a decimal of variable bytes, which Spark does not read; write it once more with Spark or "
        "Arrow"
    ),
}


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


def merge_types(first: FileType, second: FileType, *, depth: int = 0) -> FileType | None:
    """Return the type that holds the values of both without loss; None where there is none.

    Args:
        first, second: the types.
        depth: of lists, maps and structs around them; a list's whole numbers can be checked for
            being exact as float64, those that lie deeper cannot.
    """
    if first == second:
        return first
    if first == "null" or second == "null":
        return second if first == "null" else first
    if isinstance(first, dict) or isinstance(second, dict):
        return _merge_nested(first, second, depth + 1)
    merged = _merge_words(first, second) or _merge_words(second, first)
    return None if merged == "double" and depth > 1 and "int64" in (first, second) else merged


def _merge_words(one: str, other: str) -> str | None:
    """Return the common type of two words, the narrower one first; None in the other order."""
    decimal = _DECIMAL.fullmatch(other)
    if one in (*_INTEGERS, "uint64") and other in (*_INTEGERS, "uint64"):
        return "decimal(20,0)" if "uint64" in (one, other) else "int64"
    if one in (*_INTEGERS, *_REALS) and other in _REALS:
        return "double"
    if one in (*_INTEGERS, "uint64") and decimal:
        return _merge_decimals((_LONG_DIGITS + (one == "uint64"), 0), _get_digits(other))
    if _DECIMAL.fullmatch(one) and decimal:
        return _merge_decimals(_get_digits(one), _get_digits(other))
    if _DECIMAL.fullmatch(one) and other in _REALS:
        return "double" if _get_digits(one)[0] <= _EXACT_DIGITS else None
    if one == "date" and other in _TIMES:
        return other
    if one in _TEXTS and other in _TEXTS:
        return "string"
    return None


def _get_digits(decimal: str) -> tuple[int, int]:
    match = _DECIMAL.fullmatch(decimal)
    assert match
    return int(match[1]), int(match[2])


def _merge_decimals(first: tuple[int, int], second: tuple[int, int]) -> str | None:
    scale = max(first[1], second[1])
    digits = max(first[0] - first[1], second[0] - second[1]) + scale
    return f"decimal({digits},{scale})" if digits <= _MAX_DIGITS else None


def _merge_nested(first: FileType, second: FileType, depth: int) -> FileType | None:
    """Return the common type of lists, maps and structs; a struct gets the fields of both."""
    if isinstance(first, str) or isinstance(second, str) or {*first} != {*second}:
        return None
    if "list" in first:
        element = merge_types(first["list"], second["list"], depth=depth)
        return None if element is None else {"list": element}
    if "map" in first:
        pairs = zip(first["map"], second["map"], strict=True)
        key, value = (merge_types(*pair, depth=depth + 1) for pair in pairs)
        return None if key is None or value is None else {"map": [key, value]}
    fields = dict(first["struct"])
    for name, kind in second["struct"]:
        known = fields.get(name)
        merged = merge_types(known, kind, depth=depth + 1) if known is not None else kind
        if merged is None:
            return None
        fields[name] = merged
    return {"struct": [[name, kind] for name, kind in fields.items()]}


def find_unreadable(kind: FileType, *, nanoseconds: bool = False) -> str | None:
    """Return why Spark does not read a type; None where it does.

    Args:
        kind: the type.
        nanoseconds: whether timestamps in nanoseconds are read as whole numbers.
    """
    if isinstance(kind, dict):
        (inner,) = kind.values()
        kinds = [k for _, k in inner] if "struct" in kind else inner
        nested = kinds if isinstance(kinds, list) else [kinds]
        reasons = (find_unreadable(k, nanoseconds=nanoseconds) for k in nested)
        return next((reason for reason in reasons if reason), None)
    if kind == "timestamp_ns" and nanoseconds:
        return None
    if kind in _WORDS:
        return None
    if _DECIMAL.fullmatch(kind) and _get_digits(kind)[0] <= _MAX_DIGITS:
        return None
    word = "time" if kind.startswith("time") and kind != "timestamp_ns" else kind
    return _FIXES.get(word, f"{kind}, which Spark does not read; write another type")


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
    for kind in sorted(kinds, key=lambda kind: kind not in _REALS):
        merged = merge_types(merged, kind) if merged is not None else None
    if merged is None and may_be_text and all(_can_be_said(kind) for kind in kinds):
        merged = "string"
    if merged is not None:
        return CommonColumn(name, merged, spellings, tuple(kinds)), None
    listed = ", ".join(f"{_show_type(kind)} in {show_paths(p)}" for _, kind, p in found)
    fix = (
        ", or declare its type in `columns`, which every value is cast to then"
        if all(_can_be_said(kind) for kind in kinds)
        else ""
    )
    return None, f"has types that no common one holds: {listed}; rewrite the files{fix}"


def _can_be_said(kind: FileType) -> bool:
    return isinstance(kind, str) and (kind in _SAYABLE or bool(_DECIMAL.fullmatch(kind)))


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
        by_kind[_show_type(kind)] += paths
    if {*by_kind} - {*_INTEGERS, "null"} and len({*by_kind} - {"null"}) > 1:
        listed = ", ".join(f"{kind} in {show_paths(paths)}" for kind, paths in by_kind.items())
        notes.append(f"column {column.name!r} is read as {_show_type(column.kind)}: {listed}")
    return notes


def _show_type(kind: FileType) -> str:
    """Return a type as Spark writes it."""
    if isinstance(kind, str):
        return kind
    if "list" in kind:
        return f"array<{_show_type(kind['list'])}>"
    if "map" in kind:
        return f"map<{', '.join(_show_type(k) for k in kind['map'])}>"
    return f"struct<{', '.join(f'{name}: {_show_type(k)}' for name, k in kind['struct'])}>"


def show_paths(paths: list[str]) -> str:
    """Return some paths, and how many more there are."""
    more = len(paths) - _SHOWN_FILES
    shown = ", ".join(path or "the file" for path in paths[:_SHOWN_FILES])
    return shown + (f" and {more:,} more" if more > 0 else "")
