"""Convert Arrow columns as Spark casts its own, and say of lost values what Spark says."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.values import RawKind
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.problems import PROBLEM_SEPARATOR, REASON_SEPARATOR

# Texts that are values to Spark and to Arrow alike; and texts that are none, because they have a
# character that no value has. Of all others only Spark knows.
_KNOWN = {
    "real": r"^-?[0-9]{1,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,2})?$",
    "integer": r"^-?[0-9]{1,18}(\.0*)?$",
    "boolean": r"^(?i:true|false|t|f|yes|no|y|n|0|1)$",
    "date": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "timestamp": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?$",
}
_LOST = {
    "real": r"[^-+.0-9eEdDfFxXpPaAbBcCiInNtTyY\x00-\x20\x7f]",
    "integer": r"[^-+.0-9\x00-\x20\x7f]|^-?[0-9]+\.[0-9]*[1-9][0-9]*$",
    "boolean": r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
    "date": r"^[^0-9]*$",
    "timestamp": r"^[^0-9]*$",
}
CAST_TYPES = {
    "real": "double", "integer": "int64", "boolean": "boolean", "date": "date",
    "timestamp": "timestamp",
}  # fmt: skip
"""Declared type of texts -> type in a file, as `file_columns.describe_type` names it."""
_NUMBERS_WITHOUT_DIGITS = ("nan", "inf", "infinity")
_TRUE = ("true", "t", "yes", "y", "1")
# Years whose days are the same in all calendars, and in all that hold times.
_FIRST_YEAR, _LAST_YEAR = "1600", "2261"
_SHOWN_CHARACTERS = 80
# Real numbers whose shortest decimal text Java and Arrow write alike.
_LEAST_PLAIN, _MOST_PLAIN, _PLAIN_DIGITS = 1e-3, 1e7, 15
_SYMBOLS = {PROBLEM_SEPARATOR: "\u241e", REASON_SEPARATOR: "\u241f"}


def cast_texts(texts: pa.Array, declared: str, name: str) -> pa.Array:
    """Cast texts to a declared type; null where a text is none of it.

    Args:
        texts: string.
        declared: real, integer, boolean, date or timestamp.
        name: of the column, for messages.

    Raises:
        NeedsSparkError: a text may be a value or none.
    """
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raise NeedsSparkError(f"column {name} has texts that are no UTF-8") from None
    is_known = pc.match_substring_regex(texts, _KNOWN[declared])
    others = texts.filter(pc.invert(is_known)).unique()
    is_lost = pc.or_(pc.match_substring_regex(others, _LOST[declared]), pc.equal(others, ""))
    if declared == "real":  # numbers have digits, but for these
        words = pc.ascii_lower(pc.ascii_trim(others, "+- \t\r\n"))
        has_digit = pc.match_substring_regex(others, "[0-9]")
        is_special = pc.is_in(words, pa.array(_NUMBERS_WITHOUT_DIGITS))
        is_lost = pc.or_(is_lost, pc.invert(pc.or_(has_digit, is_special)))
    unknown = others.filter(pc.invert(is_lost))
    if len(unknown):
        raise NeedsSparkError(f"column {name} has the text {unknown[0].as_py()!r}")
    known = pc.if_else(is_known, texts, pa.scalar(None, pa.string()))
    if declared == "real":
        return pc.cast(known, pa.float64())
    if declared == "integer":
        return pc.cast(pc.replace_substring_regex(known, r"\.0*$", ""), pa.int64())
    if declared == "boolean":
        value = pc.is_in(pc.ascii_lower(known), pa.array(_TRUE))
        return pc.if_else(known.is_valid(), value, pa.scalar(None, pa.bool_()))
    return _cast_times(known, declared, name)


def _cast_times(texts: pa.Array, declared: str, name: str) -> pa.Array:
    year = pc.utf8_slice_codeunits(texts, 0, 4)
    in_range = pc.and_(pc.greater_equal(year, _FIRST_YEAR), pc.less_equal(year, _LAST_YEAR))
    if not pc.all(pc.fill_null(in_range, True), min_count=0).as_py():
        raise NeedsSparkError(f"column {name} has times before {_FIRST_YEAR} or very late ones")
    try:
        if declared == "date":
            return pc.cast(texts, pa.date32())
        return pc.cast(pc.cast(texts, pa.timestamp("us")), pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:  # such as the 30th of February
        raise NeedsSparkError(f"column {name} has dates that are none") from None


def describe_lost_texts(texts: pa.Array, declared: str, name: str, lost: np.ndarray) -> pa.Array:
    """Return for each text that is lost why, null for others."""
    positions = np.flatnonzero(lost)
    reasons = [
        f"{name}: '{text[:_SHOWN_CHARACTERS]}' is no {declared}"
        for text in texts.take(pa.array(positions)).to_pylist()
    ]
    spread = np.full(len(lost), -1)
    spread[positions] = np.arange(len(positions))
    return pa.array(reasons, pa.string()).take(pa.array(spread, mask=~lost))


def join_problems(reasons: Sequence[pa.Array], rows: int) -> pa.Array:
    """Return PROBLEMS of rows, see `source/problems.py`.

    Args:
        reasons: of each check, null where a row does not violate it.
        rows: their number.
    """
    problems = []
    for position, texts in enumerate(reasons):
        shown = texts
        for separator, symbol in _SYMBOLS.items():
            shown = pc.replace_substring(shown, separator, symbol)
        prefix = pa.scalar(f"{PROBLEM_SEPARATOR}{position}{REASON_SEPARATOR}")
        problems.append(pc.binary_join_element_wise(prefix, shown, ""))
    return concat_present(problems, rows)


def concat_present(texts: Sequence[pa.Array], rows: int) -> pa.Array:
    """Return the texts of each row one behind the other, without the first character, which
    separates them; nulls are left out, and it is null where all are.

    Arrow's own `null_handling="skip"` leaves out rows.
    """
    if not texts:
        return pa.nulls(rows, pa.string())
    joined = pc.binary_join_element_wise(*(pc.fill_null(text, "") for text in texts), "")
    present = pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), joined)
    return pc.utf8_slice_codeunits(present, 1)


def convert_to_kind(column: pa.Array, kind: RawKind) -> pa.Array:
    """Convert a column to what Arrow carries of its kind, as `source.types.convert_to_kind`.

    Raises:
        NeedsSparkError: it is of another type than is converted here.
    """
    if kind == "timestamp":
        return _convert_to_micros(column)
    if kind == "integer":
        return column.cast(pa.int8()).cast(pa.int64()) if column.type == pa.bool_() else column
    if kind == "real" and column.type != pa.float64():
        number = column.cast(pa.int8()) if column.type == pa.bool_() else column
        return pc.cast(number, pa.float64(), safe=False)
    return column


def _convert_to_micros(column: pa.Array) -> pa.Array:
    if pa.types.is_date32(column.type):
        days = column.cast(pa.int32()).cast(pa.int64())
        return pc.multiply(days, 86_400_000_000)
    return column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())


def make_hashable(column: pa.Array) -> pa.Array:
    """Return a column as Spark hashes it: times as microseconds, days as their number."""
    if pa.types.is_timestamp(column.type):
        return _convert_to_micros(column)
    return column.cast(pa.int32()) if pa.types.is_date32(column.type) else column


def write_key_texts(column: pa.Array, name: str) -> pa.Array:
    """Write numbers and texts as `source.keys.write_key_text`.

    Raises:
        NeedsSparkError: a real number has many digits, or is very large or small: Java writes it in
            a way of its own, which differs between its releases.
    """
    if not pa.types.is_float64(column.type):
        return column if pa.types.is_string(column.type) else column.cast(pa.string())
    numbers = pc.fill_null(column, 0.0).to_numpy() + 0.0
    is_whole = (np.abs(numbers) < 2.0**53) & (numbers == np.floor(numbers))
    whole = pa.array(np.where(is_whole, numbers, 0.0).astype(np.int64)).cast(pa.string())
    if is_whole.all():
        return pc.if_else(column.is_valid(), whole, pa.scalar(None, pa.string()))
    plain = (np.abs(numbers) >= _LEAST_PLAIN) & (np.abs(numbers) < _MOST_PLAIN)
    texts = column.cast(pa.string())
    # Beside digits there is a point, and a sign where the number has one.
    digits = pc.fill_null(pc.binary_length(texts), 0).to_numpy() - 1 - (numbers < 0)
    plain &= digits <= _PLAIN_DIGITS
    if not (plain | is_whole).all():
        raise NeedsSparkError(f"column {name} has real numbers of more than {_PLAIN_DIGITS} digits")
    return pc.if_else(column.is_valid(), pc.if_else(pa.array(is_whole), whole, texts), texts)
