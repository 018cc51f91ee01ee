"""Encode the values of a column as slices: one for each value, or for each bucket of a range.

Names of two slices of a column are never equal, whatever the values: numbers are written with all
the digits that tell them apart, and texts in quotes where they could be taken for something else.
"""

import hashlib
import json
import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.histogram import MISSING_LABEL
from headrace.columns.values import MISSING_INTEGER
from headrace.number_text import format_share
from headrace.recipe.evaluate_sections import MAX_SLICES
from headrace.recipe.slice_limits import Limit

MAX_VALUES = MAX_SLICES
"""Slices of a column by default, or of several together; rows of rarer values are one slice."""
_DEFAULT_BUCKETS = 5
_MAX_DISTINCT_VALUES = 50  # columns with up to this many numbers are sliced by number
_DAY = 86_400_000_000  # microseconds
_INT64 = np.iinfo(np.int64)
_SHOWN_CHARACTERS = 60
_LARGEST_PLAIN_REAL = 1e16  # whole numbers below are written without an exponent


@dataclass(frozen=True)
class EncodedColumn:
    """The slices that a column divides rows into.

    Attributes:
        codes: position of each row's slice in `names`, int64 (rows,).
        names: of all slices, with rows or without.
        notes: what a reader has to know about them.
    """

    codes: np.ndarray
    names: list[str]
    notes: tuple[str, ...] = ()


def encode_integers(
    column: str,
    values: pa.Array,
    limits: Sequence[Limit] | None,
    *,
    is_category: bool = False,
    most: int = MAX_VALUES,
) -> EncodedColumn:
    """Encode whole numbers, int64, exactly.

    Args:
        column: name, for the names of the slices.
        values: null where missing; so is -2**63, as for a transform.
        limits: rising, between buckets; None for a slice of each value, or quantiles where there
            are many.
        is_category: never take quantiles.
        most: values that are slices of their own; the rarer ones are one slice.
    """
    numbers = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    missing = values.is_null().to_numpy(zero_copy_only=False) | (numbers == MISSING_INTEGER)
    column_values = _Numbers(column, numbers, missing, str, [], most=most)
    if limits is None:
        return column_values.encode_without_limits(_MAX_DISTINCT_VALUES, is_category=is_category)
    return column_values.encode_buckets(limits)


def encode_reals(
    column: str,
    values: pa.Array,
    limits: Sequence[Limit] | None,
    *,
    is_category: bool = False,
    most: int = MAX_VALUES,
) -> EncodedColumn:
    """Encode real numbers, float64; the infinities are numbers, NaN is a slice of its own.

    Args:
        column, values, limits, is_category, most: as those of `encode_integers`.
    """
    numbers = pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False) + 0.0  # -0.0 is 0
    missing = values.is_null().to_numpy(zero_copy_only=False)
    is_nan = np.isnan(numbers)
    others = [(f"{column}=NaN", is_nan)]
    column_values = _Numbers(column, numbers, missing, format_real, others, most=most)
    if limits is None:
        return column_values.encode_without_limits(_MAX_DISTINCT_VALUES, is_category=is_category)
    return column_values.encode_buckets(limits)


def encode_times(
    column: str, values: pa.Array, limits: Sequence[Limit] | None, *, most: int = MAX_VALUES
) -> EncodedColumn:
    """Encode times by day, or by limits in microseconds since 1970-01-01, all in UTC."""
    micros = values.cast(pa.timestamp("us", values.type.tz)).cast(pa.int64())
    numbers = pc.fill_null(micros, 0).to_numpy(zero_copy_only=False)
    missing = values.is_null().to_numpy(zero_copy_only=False) | (numbers == MISSING_INTEGER)
    times = _Numbers(column, numbers, missing, _format_time, [], missing_form="{}={}")
    if limits is not None:
        return times.encode_buckets(limits)
    days = _Numbers(
        column, numbers // _DAY * _DAY, missing, _format_time, [], missing_form="{}={}", most=most
    )
    return days.encode_without_limits(most)


def encode_texts(column: str, values: pa.Array, *, most: int = MAX_VALUES) -> EncodedColumn:
    """Encode texts: a slice of each value."""
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    missing = encoded.indices.is_null().to_numpy(zero_copy_only=False)
    codes = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return _encode_values(
        column,
        codes,
        missing,
        len(encoded.dictionary),
        lambda position: format_text(encoded.dictionary[position].as_py()),
        missing_form="{}={}",
        most=most,
    )


def encode_booleans(column: str, values: pa.Array) -> EncodedColumn:
    """Encode booleans, stored as 0 and 1; other numbers, of another type's files, stay numbers."""
    encoded = encode_integers(column, values, None, is_category=True)
    words = {f"{column}=0": f"{column}=false", f"{column}=1": f"{column}=true"}
    if not {*encoded.names[:-1]} <= {*words}:
        return encoded
    names = [words.get(name, name) for name in encoded.names]
    return EncodedColumn(encoded.codes, names, encoded.notes)


def combine_columns(
    columns: Sequence[EncodedColumn], separator: str = ", ", most: int = MAX_VALUES
) -> EncodedColumn:
    """Combine columns: every combination of their slices that occurs is a slice.

    Args:
        columns: one or more.
        separator: of their names.
        most: combinations that are slices of their own; the rarer ones are one slice.
    """
    notes = tuple(note for column in columns for note in column.notes)
    combined = np.zeros(len(columns[0].codes), np.int64)
    origins: list[tuple[np.ndarray, np.ndarray]] = []  # of each combination: of the columns before
    for column in columns:
        pairs = combined * len(column.names) + column.codes
        occurring, combined = np.unique(pairs, return_inverse=True)
        origins.append(np.divmod(occurring, len(column.names)))

    def name_combination(code: int) -> str:
        words: list[str] = []
        for column, (before, position) in zip(reversed(columns), reversed(origins), strict=True):
            words.append(column.names[position[code]])
            code = int(before[code])
        return separator.join(reversed(words))

    count = len(occurring)
    if count <= most or len(columns) == 1:
        return EncodedColumn(combined, [name_combination(code) for code in range(count)], notes)
    codes, kept = _keep_most_frequent(combined, count, most)
    names = [*map(name_combination, kept), f"{count - len(kept):,} other combinations"]
    note = (
        f"{count:,} combinations of values occur in the test rows; the {most:,} most frequent are "
        f"slices of their own, all others are one{_describe_rest(codes, len(kept))}"
    )
    return EncodedColumn(codes, names, (*notes, note))


def format_real(value: float) -> str:
    """Return the shortest text that is this number and no other."""
    value = float(value)
    if math.isfinite(value) and value.is_integer() and abs(value) < _LARGEST_PLAIN_REAL:
        return str(int(value))
    return repr(value)


def format_text(text: str) -> str:
    """Return a text as it is, or in quotes where it could be taken for something else; of a long
    one the beginning and a digest of all of it."""
    if len(text) > _SHOWN_CHARACTERS:
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"{_quote(text[:_SHOWN_CHARACTERS])}… ({len(text):,} characters, {digest})"
    has_marks = any(mark in text for mark in '",=')
    is_plain = text == text.strip() and text not in ("", MISSING_LABEL) and not has_marks
    return text if is_plain and _is_shown_as_it_is(text) else _quote(text)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=not _is_shown_as_it_is(text))


def _is_shown_as_it_is(text: str) -> bool:
    """Return whether no other text looks the same: by invisible characters, or letters in parts."""
    return text.isprintable() and unicodedata.is_normalized("NFC", text)


@dataclass(frozen=True)
class _Numbers:
    """Numbers that have an order, and what is none among them.

    Attributes:
        column: name.
        numbers: int64 or float64 (rows,).
        missing: bool (rows,).
        format: name of a number.
        others: name of a slice -> bool (rows,), of what is neither missing nor has a place in the
            order.
        missing_form: of the name of the missing ones.
        most: values that are slices of their own.
    """

    column: str
    numbers: np.ndarray
    missing: np.ndarray
    format: Callable[[float], str]
    others: list[tuple[str, np.ndarray]]
    missing_form: str = "{} {}"
    most: int = MAX_VALUES

    def encode_without_limits(self, most: int, *, is_category: bool = False) -> EncodedColumn:
        """Encode by value, or by quantiles where there are more than `most` values."""
        has_place = self._has_place()
        distinct, positions = np.unique(self.numbers[has_place], return_inverse=True)
        if len(distinct) > most and not is_category:
            return self.encode_buckets(self._find_quantiles())
        codes = np.zeros(len(self.numbers), np.int64)
        codes[has_place] = positions
        values = distinct.tolist()
        encoded = _encode_values(
            self.column,
            codes,
            ~has_place,
            len(values),
            lambda position: self.format(values[position]),
            missing_form=self.missing_form,
            most=self.most,
        )
        return self._with_others(encoded)

    def encode_buckets(self, limits: Sequence[Limit]) -> EncodedColumn:
        """Encode by bucket; a number at a limit is in the bucket above it."""
        if not limits:  # there is no number
            names = [self._name_missing()]
            return self._with_others(EncodedColumn(np.zeros(len(self.numbers), np.int64), names))
        exact = self._convert_limits(limits)
        with np.errstate(invalid="ignore"):
            codes = np.searchsorted(exact, self.numbers, side="right").astype(np.int64)
        words = [self._format_limit(limit) for limit in limits]
        names = [f"{self.column} below {words[0]}"]
        names += [f"{self.column} {low} to {high}" for low, high in pairwise(words)]
        names += [f"{self.column} from {words[-1]}", self._name_missing()]
        codes[~self._has_place()] = len(names) - 1
        return self._with_others(EncodedColumn(codes, names))

    def _has_place(self) -> np.ndarray:
        has_place = ~self.missing
        for _, mask in self.others:
            has_place &= ~mask
        return has_place

    def _with_others(self, encoded: EncodedColumn) -> EncodedColumn:
        codes, names = encoded.codes, list(encoded.names)
        for name, mask in self.others:
            codes[mask & ~self.missing] = len(names)
            names.append(name)
        return EncodedColumn(codes, names, encoded.notes)

    def _name_missing(self) -> str:
        return self.missing_form.format(self.column, MISSING_LABEL)

    def _format_limit(self, limit: Limit) -> str:
        if isinstance(limit, int):
            return self.format(limit) if self.format is _format_time else str(limit)
        return format_real(limit)

    def _find_quantiles(self) -> list[Limit]:
        """Return values of the rows between which there are about as many rows each."""
        numbers = np.sort(self.numbers[self._has_place() & np.isfinite(self.numbers)])
        if not len(numbers):
            return []
        shares = np.arange(1, _DEFAULT_BUCKETS) / _DEFAULT_BUCKETS
        positions = np.ceil(shares * len(numbers)).astype(np.int64)
        limits: list[Limit] = np.unique(numbers[np.minimum(positions, len(numbers) - 1)]).tolist()
        return limits

    def _convert_limits(self, limits: Sequence[Limit]) -> np.ndarray:
        """Return for each limit the smallest number of the column's type that is not below it.

        A number is then at or above a limit if it is at or above that one, exactly.
        """
        if self.numbers.dtype == np.int64:
            whole = [math.ceil(limit) for limit in limits]
            return np.array([max(w, _INT64.min) for w in whole if w <= _INT64.max], np.int64)
        return np.array([_round_up_to_float64(limit) for limit in limits], np.float64)


def _round_up_to_float64(limit: Limit) -> float:
    try:
        number = float(limit)
    except OverflowError:
        return math.inf if limit > 0 else -math.inf
    return math.nextafter(number, math.inf) if number < limit else number


def _encode_values(
    column: str,
    codes: np.ndarray,
    missing: np.ndarray,
    count: int,
    format_value: Callable[[int], str],
    *,
    missing_form: str,
    most: int = MAX_VALUES,
) -> EncodedColumn:
    """Encode values that each are a slice.

    Args:
        column: name.
        codes: position of each row's value among the distinct ones.
        missing: rows without one, bool (rows,).
        count: how many distinct values there are.
        format_value: name of a value by its position.
        missing_form: of the name of the missing ones.
        most: values that are slices of their own; the rarer ones are one slice.
    """
    name_missing = missing_form.format(column, MISSING_LABEL)
    if count <= most:
        names = [f"{column}={format_value(position)}" for position in range(count)]
        return EncodedColumn(np.where(missing, count, codes), [*names, name_missing])
    kept_codes, kept = _keep_most_frequent(codes[~missing], count, most)
    result = np.full(len(codes), len(kept) + 1, np.int64)
    result[~missing] = kept_codes
    names = [f"{column}={format_value(position)}" for position in kept]
    rest = f"{column}: {count - len(kept):,} other values"
    note = (
        f"{column} has {count:,} values in the test rows; the {most:,} most frequent are slices "
        f"of their own, all others are one{_describe_rest(result, len(kept))}"
    )
    return EncodedColumn(result, [*names, rest, name_missing], (note,))


def _describe_rest(codes: np.ndarray, rest: int) -> str:
    """Return in words how many rows the slice of the rarer values has."""
    rows = int((codes == rest).sum())
    return f", with {rows:,} rows ({format_share(rows / len(codes))})"


def _keep_most_frequent(codes: np.ndarray, count: int, most: int) -> tuple[np.ndarray, list[int]]:
    """Return codes of the most frequent values, and one more for all others; and which values those
    are, in their order."""
    frequency = np.bincount(codes, minlength=count)
    kept = np.sort(np.argsort(-frequency, kind="stable")[:most])
    new_codes = np.full(count, len(kept), np.int64)
    new_codes[kept] = np.arange(len(kept))
    return new_codes[codes], kept.tolist()


def _format_time(micros: float) -> str:
    """Return a time in UTC: the day, and what else there is."""
    micros = int(micros)
    unit = "D" if micros % _DAY == 0 else "s" if micros % 1_000_000 == 0 else "us"
    return str(np.datetime64(micros, "us").astype(f"datetime64[{unit}]"))
