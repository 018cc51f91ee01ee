"""Convert Arrow columns as Spark casts its own, and say of lost values what Spark says."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.values import RawKind
from headrace.prepare.local.needs_spark import NeedsSparkError
from headrace.source.problems import PROBLEM_SEPARATOR, REASON_SEPARATOR

# Texts that are numbers to Java and to Arrow alike, of sizes that 64 bits hold; and texts that are
# none, because they have a character that no number has. Of all others only Spark knows.
_NUMBER = r"^-?[0-9]{1,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,2})?$"
_NO_NUMBER = r"[^-+.0-9eEdDfFxXpPaAbBcCiInNtTyY\x00-\x20\x7f]"
_SHOWN_CHARACTERS = 80
# Real numbers whose shortest decimal text Java and Arrow write alike.
_LEAST_PLAIN, _MOST_PLAIN, _PLAIN_DIGITS = 1e-3, 1e7, 15
_SYMBOLS = {PROBLEM_SEPARATOR: "\u241e", REASON_SEPARATOR: "\u241f"}


def cast_to_real(texts: pa.Array, name: str) -> pa.Array:
    """Cast texts to float64; null where a text is no number.

    Raises:
        NeedsSparkError: a text may be a number or none.
    """
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raise NeedsSparkError(f"column {name} has texts that are no UTF-8") from None
    is_number = pc.match_substring_regex(texts, _NUMBER)
    others = texts.filter(pc.invert(is_number)).unique()
    known = pc.or_(pc.match_substring_regex(others, _NO_NUMBER), pc.equal(others, ""))
    unknown = others.filter(pc.invert(known))
    if len(unknown):
        raise NeedsSparkError(f"column {name} has the text {unknown[0].as_py()!r}")
    return pc.cast(pc.if_else(is_number, texts, pa.scalar(None, pa.string())), pa.float64())


def describe_lost_texts(texts: pa.Array, name: str, lost: np.ndarray) -> pa.Array:
    """Return for each text that is lost why, null for others."""
    positions = np.flatnonzero(lost)
    reasons = [
        f"{name}: '{text[:_SHOWN_CHARACTERS]}' is no real"
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
    # Digits, a point and a sign.
    plain &= pc.fill_null(pc.binary_length(texts), 0).to_numpy() <= _PLAIN_DIGITS + 2
    if not (plain | is_whole).all():
        raise NeedsSparkError(f"column {name} has real numbers of more than {_PLAIN_DIGITS} digits")
    return pc.if_else(column.is_valid(), pc.if_else(pa.array(is_whole), whole, texts), texts)
