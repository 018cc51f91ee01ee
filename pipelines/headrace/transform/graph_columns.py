"""Raw and derived columns as TensorFlow tensors: the counterpart of `columns.py`."""

from dataclasses import dataclass

import tensorflow as tf

from headrace.transform.columns import LIST_KINDS
from headrace.transform.spec import MISSING_INTEGER, DerivedColumn, RawKind

MISSING_STRING = b"\xff"
TENSOR_DTYPE: dict[RawKind, str] = {
    "integer": "int64",
    "real": "float64",
    "timestamp": "int64",
    "string": "string",
    "bytes": "string",
    "integers": "int64",
    "reals": "float64",
    "strings": "string",
}
_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Column:
    """A column: (batch,) or, of list kinds, (batch, width); `tensor` is 0 or "" where missing."""

    kind: str
    tensor: tf.Tensor
    missing: tf.Tensor


def read(tensor: tf.Tensor, kind: RawKind, empty_is_missing: bool = False) -> Column:
    """Find what is missing in a raw tensor."""
    element = LIST_KINDS.get(kind, kind)
    if element in ("string", "bytes"):
        missing = tf.equal(tensor, MISSING_STRING)
        if empty_is_missing:
            missing = tf.logical_or(missing, tf.equal(tensor, b""))
        return Column(kind, tf.where(missing, tf.constant(b""), tensor), missing)
    if element == "real":
        missing = tf.logical_not(tf.math.is_finite(tensor))
    else:
        missing = tf.equal(tensor, tf.constant(MISSING_INTEGER, tf.int64))
    return Column(kind, tf.where(missing, tf.zeros_like(tensor), tensor), missing)


def derive(item: DerivedColumn, inputs: list[Column]) -> Column:
    """Compute a derived column."""
    missing = inputs[0].missing
    for column in inputs[1:]:
        missing = tf.logical_or(missing, column.missing)
    if item.op in ("difference", "seconds_since"):
        if item.op == "difference":
            result = real(inputs[0]) - real(inputs[1])
        else:
            result = (real(inputs[0]) - float(item.origin or 0)) / 1e6
        missing = tf.logical_or(missing, tf.logical_not(tf.math.is_finite(result)))
        return Column("real", tf.where(missing, tf.zeros_like(result), result), missing)
    if item.op == "day_of_week":
        value, valid = _weekday_of_date(*(column.tensor for column in inputs))
        return Column("integer", value, tf.logical_or(missing, tf.logical_not(valid)))
    whole = inputs[0].tensor
    if item.op == "time_part":
        return Column("integer", time_part(whole, str(item.part)), missing)
    hour, minute = whole // 100, whole % 100
    valid = (whole >= 0) & (hour <= 24) & (minute < 60)
    value = hour if item.op == "hour_of_day" else hour * 60 + minute
    return Column("integer", value, tf.logical_or(missing, tf.logical_not(valid)))


def real(column: Column) -> tf.Tensor:
    """The numbers as float64."""
    return tf.cast(column.tensor, tf.float64)


def text(column: Column) -> tf.Tensor:
    """The values as texts, numbers in decimal."""
    tensor = column.tensor
    return tensor if tensor.dtype == tf.string else tf.strings.as_string(tensor)


def time_part(micros: tf.Tensor, part: str) -> tf.Tensor:
    """A calendar field of int64 microseconds since 1970-01-01 UTC; see `columns.time_part`."""
    day, within = micros // _DAY, micros % _DAY
    if part in ("hour", "minute", "second"):
        unit = {"hour": 3_600_000_000, "minute": 60_000_000, "second": 1_000_000}[part]
        return within // unit % (24 if part == "hour" else 60)
    if part == "day_of_week":
        return (day + 3) % 7 + 1
    shifted = day + 719_468
    era = shifted // 146_097
    doe = shifted - era * 146_097
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    from_march = (5 * doy + 2) // 153
    month = tf.where(from_march < 10, from_march + 3, from_march - 9)
    year = yoe + era * 400 + tf.cast(month <= 2, tf.int64)
    if part == "year":
        return year
    if part == "month":
        return month
    if part == "day":
        return doy - (153 * from_march + 2) // 5 + 1
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return tf.where(month <= 2, doy - 305, doy + 60 + tf.cast(leap, tf.int64))


def _weekday_of_date(y: tf.Tensor, m: tf.Tensor, d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    one = tf.ones_like(y)
    in_range = (y >= 1) & (y <= 9999) & (m >= 1) & (m <= 12) & (d >= 1)
    year, month = tf.where(in_range, y, one), tf.where(in_range, m, one)
    day = tf.where(in_range & (d <= 31), d, one)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    lengths = tf.constant([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], tf.int64)
    shifts = tf.constant([0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4], tf.int64)
    length = tf.gather(lengths, month - 1) + tf.cast(leap & (month == 2), tf.int64)
    year = year - tf.cast(month < 3, tf.int64)
    sunday_based = (
        year + year // 4 - year // 100 + year // 400 + tf.gather(shifts, month - 1) + day
    ) % 7
    weekday = tf.where(sunday_based == 0, tf.constant(7, tf.int64), sunday_based)
    return weekday, in_range & (d <= length)
