"""Merge types of one column in many files into one that loses nothing.

null < int8 < … < int64 < decimal      null < float < double      null < date < timestamp
int64 < double   where every value is exact as float64, which is checked when it is read
decimal < double where it has at most 15 digits
"""

import re

from headrace.lake.file_columns import UNKNOWN_TYPE, FileType

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
REALS = ("float", "double")
_TEXTS = ("string", "char", "binary")
_TIMES = ("timestamp", "timestamp_ntz")
_WORDS = (*INTEGERS, *REALS, *_TEXTS, *_TIMES, "uint64", "boolean", "date", "null")
# What a text says as well as the value does.
_SAYABLE = (*INTEGERS, *REALS, *_TIMES, "uint64", "boolean", "date", "null", "string", "char")
_DECIMAL = re.compile(r"decimal\((\d+),(-?\d+)\)")
_MAX_DIGITS, _EXACT_DIGITS, _LONG_DIGITS = 38, 15, 19
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
    if one in (*INTEGERS, "uint64") and other in (*INTEGERS, "uint64"):
        return "decimal(20,0)" if "uint64" in (one, other) else "int64"
    if one in (*INTEGERS, *REALS) and other in REALS:
        return "double"
    if one in (*INTEGERS, "uint64") and decimal:
        return _merge_decimals((_LONG_DIGITS + (one == "uint64"), 0), _get_digits(other))
    if _DECIMAL.fullmatch(one) and decimal:
        return _merge_decimals(_get_digits(one), _get_digits(other))
    if _DECIMAL.fullmatch(one) and other in REALS:
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


def can_be_said(kind: FileType) -> bool:
    """Return whether a text says a value of the type as well as the value does."""
    return isinstance(kind, str) and (kind in _SAYABLE or bool(_DECIMAL.fullmatch(kind)))


def show_type(kind: FileType) -> str:
    """Return a type as Spark writes it."""
    if isinstance(kind, str):
        return kind
    if "list" in kind:
        return f"array<{show_type(kind['list'])}>"
    if "map" in kind:
        return f"map<{', '.join(show_type(k) for k in kind['map'])}>"
    return f"struct<{', '.join(f'{name}: {show_type(k)}' for name, k in kind['struct'])}>"
