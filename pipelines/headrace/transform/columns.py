"""Raw and derived columns on their way through a transform: NumPy and Arrow values, no engine.

The semantics are in `spec.py`. Calendar arithmetic is int64 throughout: days to civil date after
Howard Hinnant's `civil_from_days`, day of the week after Tomohiko Sakamoto.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.transform.spec import MISSING_INTEGER, DerivedColumn, RawKind

LIST_KINDS = {"integers": "integer", "reals": "real", "strings": "string"}
_ARROW_TYPE = {
    "integer": pa.int64(),
    "real": pa.float64(),
    "timestamp": pa.int64(),
    "string": pa.string(),
    "bytes": pa.binary(),
}
_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Values:
    """A raw or derived column.

    Attributes:
        kind: the spec's kind; of a list column, the list kind.
        array: NumPy int64 or float64 of shape (n,); an Arrow string or binary array, or a
            dictionary of strings, of length n; of a list column an Arrow array of all elements.
        missing: bool of shape (n,), of a list column of all its elements; where it is true, `array`
            holds nothing of meaning.
        offsets: of a list column int64 (n + 1,): row i has elements offsets[i] to offsets[i + 1].
    """

    kind: RawKind
    array: Any
    missing: np.ndarray
    offsets: np.ndarray | None = None

    @property
    def elements(self) -> "Values":
        """The elements of a list column as a column of their own."""
        return Values(LIST_KINDS[self.kind], self.array, self.missing)  # type: ignore[arg-type]


def read_column(array: "pa.Array | pa.ChunkedArray", kind: RawKind) -> Values:
    """Cast an Arrow column to its kind and find what is missing.

    Raises:
        pyarrow.ArrowInvalid: a value does not cast.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if kind in LIST_KINDS:
        return _read_list(array, kind)
    array = _cast(array, kind)
    missing = array.is_null().to_numpy(zero_copy_only=False)
    if kind in ("string", "bytes"):
        return Values(kind, array, missing)
    numbers = pc.fill_null(array, 0).to_numpy(zero_copy_only=False)
    if kind == "real":
        missing = missing | ~np.isfinite(numbers)
        # TensorFlow flushes subnormal numbers to 0, so they are 0 here, too.
        numbers = np.where(np.abs(numbers) < np.finfo(np.float64).tiny, 0.0, numbers)
    else:
        missing = missing | (numbers == MISSING_INTEGER)
    return Values(kind, numbers, missing)


def _cast(array: pa.Array, kind: str) -> pa.Array:
    kept = pa.types.is_dictionary(array.type) and kind == "string"
    if kept or array.type == _ARROW_TYPE[kind]:
        return array
    if kind == "real" and pa.types.is_integer(array.type):
        return pc.cast(array, pa.float64(), safe=False)  # beyond 2**53 the nearest double will do
    if kind == "timestamp" and (pa.types.is_timestamp(array.type) or pa.types.is_date(array.type)):
        return pc.cast(pc.cast(array, pa.timestamp("us"), safe=False), pa.int64())
    return pc.cast(array, _ARROW_TYPE[kind])


def _read_list(array: pa.Array, kind: RawKind) -> Values:
    counts = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    elements = read_column(pc.list_flatten(array), LIST_KINDS[kind])  # type: ignore[arg-type]
    return Values(kind, elements.array, elements.missing, offsets)


def derive(item: DerivedColumn, inputs: list[Values]) -> Values:
    """Compute a derived column; see the recipe's `derive` kinds for what each op means."""
    missing = np.logical_or.reduce([v.missing for v in inputs])
    if item.op in ("difference", "seconds_since"):
        with np.errstate(over="ignore", invalid="ignore"):
            if item.op == "difference":
                result = real(inputs[0]) - real(inputs[1])
            else:
                # Two float64 steps, so that extreme times do not wrap around int64.
                result = (real(inputs[0]) - float(item.origin or 0)) / 1e6
        return Values("real", result, missing | ~np.isfinite(result))
    if item.op == "day_of_week":
        year, month, day = (np.asarray(v.array, np.int64) for v in inputs)
        weekday, valid = _weekday_of_date(year, month, day)
        return Values("integer", weekday, missing | ~valid)
    whole = np.asarray(inputs[0].array, np.int64)
    if item.op == "time_part":
        return Values("integer", time_part(np.where(missing, 0, whole), str(item.part)), missing)
    hour, minute = whole // 100, whole % 100
    valid = (whole >= 0) & (hour <= 24) & (minute < 60)
    value = hour if item.op == "hour_of_day" else hour * 60 + minute
    return Values("integer", value, missing | ~valid)


def real(values: Values) -> np.ndarray:
    """The numbers as float64."""
    return np.asarray(values.array, dtype=np.float64)


def time_part(micros: np.ndarray, part: str) -> np.ndarray:
    """A calendar field of int64 microseconds since 1970-01-01 UTC, as int64."""
    day, within = micros // _DAY, micros % _DAY
    if part in ("hour", "minute", "second"):
        unit = {"hour": 3_600_000_000, "minute": 60_000_000, "second": 1_000_000}[part]
        return within // unit % (24 if part == "hour" else 60)
    if part == "day_of_week":
        return (day + 3) % 7 + 1  # day 0 was a Thursday
    shifted = day + 719_468  # days since 0000-03-01
    era = shifted // 146_097
    doe = shifted - era * 146_097
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)  # from March 1st
    month_from_march = (5 * doy + 2) // 153
    month = np.where(month_from_march < 10, month_from_march + 3, month_from_march - 9)
    year = yoe + era * 400 + (month <= 2)
    if part == "year":
        return year
    if part == "month":
        return month
    if part == "day":
        return doy - (153 * month_from_march + 2) // 5 + 1
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return np.where(month <= 2, doy - 305, doy + 60 + leap)  # day_of_year


def _weekday_of_date(
    year: np.ndarray, month: np.ndarray, day: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """ISO day of the week (1 Monday to 7 Sunday) and which dates exist, years 1 to 9999."""
    in_range = (year >= 1) & (year <= 9999) & (month >= 1) & (month <= 12) & (day >= 1)
    y, m = np.where(in_range, year, 1), np.where(in_range, month, 1)
    d = np.where(in_range & (day <= 31), day, 1)
    leap = (y % 4 == 0) & ((y % 100 != 0) | (y % 400 == 0))
    length = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])[m - 1] + (leap & (m == 2))
    shift = np.array([0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4])[m - 1]
    y = y - (m < 3)
    sunday_based = (y + y // 4 - y // 100 + y // 400 + shift + d) % 7
    return np.where(sunday_based == 0, 7, sunday_based), in_range & (day <= length)
