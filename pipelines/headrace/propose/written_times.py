"""Find how dates and times are written: as texts such as Jun 12 1998, or as numbers since 1970.

What is found is the type that the recipe declares (`recipe/declared_types.py`), by which Spark
reads the same moments.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from headrace.propose.names import split_words

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
# Of two patterns that only the order of day and month tells apart, the usual one is first.
_DATES = (
    "M/d/yyyy", "d/M/yyyy", "d.M.yyyy", "M.d.yyyy", "d-M-yyyy", "M-d-yyyy", "yyyy/M/d", "yyyy.M.d",
    "MMM d yyyy", "MMM d, yyyy", "d MMM yyyy", "d-MMM-yyyy", "MMMM d yyyy", "MMMM d, yyyy",
    "d MMMM yyyy", "MMM yyyy", "MMMM yyyy",
)  # fmt: skip
_SWAPPED = {
    "M/d/yyyy": "d/M/yyyy", "d.M.yyyy": "M.d.yyyy", "d-M-yyyy": "M-d-yyyy",
}  # fmt: skip
_CLOCKS = ("", " H:mm", " H:mm:ss", " h:mm a", " h:mm:ss a", "'T'H:mm:ss")
_PARTS = {
    "yyyy": r"(?P<year>\d{4})", "MMMM": f"(?P<name>{'|'.join(_MONTHS)})",
    "MMM": f"(?P<name>{'|'.join(month[:3] for month in _MONTHS)})", "MM": r"(?P<month>\d{2})",
    "M": r"(?P<month>\d{1,2})", "dd": r"(?P<day>\d{2})", "d": r"(?P<day>\d{1,2})",
    "H": r"(?P<hour>\d{1,2})", "h": r"(?P<half>\d{1,2})", "mm": r"(?P<minute>\d{2})",
    "ss": r"(?P<second>\d{2})", "a": "(?P<noon>am|pm)",
}  # fmt: skip
_TOKEN = re.compile(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']")
# Texts that are looked at first; most columns of texts are ruled out by them.
_TRIED = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_WORDS = frozenset({
    "timestamp", "ts", "time", "at", "epoch", "date", "datetime", "day", "created", "updated",
    "modified", "when", "unixtime", "unix", "millis", "ms",
})  # fmt: skip
_DATE_WORDS = frozenset({"date", "day", "dt", "ymd"})
# Numbers since 1970 that are times: from 1973 to 2100. A smaller one may be a duration.
_FIRST_SECOND, _LAST_SECOND = 100_000_000, 4_102_444_800
_UNITS = (
    ("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9),
)  # fmt: skip


@dataclass(frozen=True)
class WrittenTimes:
    """How the times of a column are written.

    Attributes:
        declared_type: the recipe's word for it.
        remark: what else a reader of the recipe should know; empty for nothing.
    """

    declared_type: str
    remark: str = ""


def find_written_times(texts: Sequence[str], max_other_share: float) -> WrittenTimes | None:
    """Find the pattern by which nearly all texts are dates or times.

    Args:
        texts: different texts of a column.
        max_other_share: share of them that may be something else.

    Returns:
        None where there is no such pattern.
    """
    tried = texts[:_TRIED]
    allowed = max_other_share * len(texts)
    for pattern in (date + clock for clock in _CLOCKS for date in _DATES):
        if _count_others(tried, pattern) > max(allowed, 0.1 * len(tried)):
            continue
        if _count_others(texts, pattern) > allowed:
            continue
        date, _, clock = pattern.partition("yyyy")
        word = "timestamp" if "m" in clock else "date"
        swapped = _SWAPPED.get(f"{date}yyyy", "")
        remark = ""
        if swapped and _count_others(texts, swapped + clock) <= allowed:
            remark = (
                f"{texts[0]!r} is read as {_describe(texts[0], pattern)}; no value tells day from "
                f"month. If the day is the {'first' if swapped[0] == 'd' else 'second'} number, "
                f"declare {word}({swapped}{clock})"
            )
        return WrittenTimes(f"{word}({pattern})", remark)
    return None


def parse_written_time(text: str, pattern: str) -> int | None:
    """Return microseconds since 1970 of a text by a pattern of Java; None where it is not by it."""
    match = _compile(pattern).fullmatch(text.strip(" "))
    if not match:
        return None
    fields = {name: value for name, value in match.groupdict().items() if value}
    month = int(fields.get("month", 1))
    if "name" in fields:
        month = [name[:3] for name in _MONTHS].index(fields["name"].lower()[:3]) + 1
    hour = int(fields.get("hour", 0))
    if "half" in fields:
        half = int(fields["half"])
        if not 1 <= half <= 12:
            return None
        hour = half % 12 + 12 * (fields["noon"].lower() == "pm")
    try:
        moment = datetime(
            int(fields["year"]), month, int(fields.get("day", 1)), hour,
            int(fields.get("minute", 0)), int(fields.get("second", 0)), tzinfo=UTC,
        )  # fmt: skip
    except ValueError:  # the 30th of February
        return None
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 10**6


_COMPILED: dict[str, re.Pattern[str]] = {}


def _compile(pattern: str) -> re.Pattern[str]:
    if pattern not in _COMPILED:
        parts = [
            re.escape(match[1])
            if match[1] is not None
            else _PARTS.get(match[0], re.escape(match[0]))
            for match in _TOKEN.finditer(pattern)
        ]
        _COMPILED[pattern] = re.compile("".join(parts), re.IGNORECASE | re.ASCII)
    return _COMPILED[pattern]


def _count_others(texts: Sequence[str], pattern: str) -> int:
    return sum(parse_written_time(text, pattern) is None for text in texts)


def _describe(text: str, pattern: str) -> str:
    micros = parse_written_time(text, pattern)
    assert micros is not None
    return f"{datetime.fromtimestamp(micros // 10**6, UTC):%-d %B %Y}"


def find_numbered_times(name: str, numbers: np.ndarray) -> WrittenTimes | None:
    """Find the unit since 1970 in which numbers are times, or whether they are dates as 20240131.

    Args:
        name: of the column, which has to say that it is a time.
        numbers: float64, without missing ones.

    Returns:
        None where they are no times.
    """
    words = split_words(name)
    if not len(numbers) or not _TIME_WORDS & {*words[:1], *words[-1:]}:
        return None
    low, high = float(np.quantile(numbers, 0.001)), float(np.quantile(numbers, 0.999))
    if numbers.min() < 0:
        return None
    for unit, factor in _UNITS:
        if _FIRST_SECOND * factor <= low and high <= _LAST_SECOND * factor:
            return WrittenTimes(f"timestamp({unit})", f"numbers of {unit} since 1970-01-01 UTC")
    is_date = bool(_DATE_WORDS & {*words}) and low >= 19_000_101 and high <= 21_001_231
    if is_date and np.all(numbers == np.floor(numbers)):
        texts = [f"{number:.0f}" for number in np.unique(numbers)]
        if not _count_others(texts, "yyyyMMdd"):
            return WrittenTimes("date(yyyyMMdd)", "numbers such as 20240131")
    return None


def convert_numbers_to_micros(numbers: np.ndarray, declared_type: str) -> np.ndarray:
    """Return microseconds since 1970, int64, of numbers by a type of `find_numbered_times`.

    Args:
        numbers: int64 or float64 without missing ones.
        declared_type: the type.
    """
    if declared_type == "date(yyyyMMdd)":
        days, positions = np.unique(numbers, return_inverse=True)
        micros = [parse_written_time(f"{day:.0f}", "yyyyMMdd") or 0 for day in days]
        return np.array(micros, np.int64)[positions]
    factor = dict(_UNITS)[declared_type.removeprefix("timestamp(").removesuffix(")")]
    if factor > 10**6:
        return np.asarray(numbers, np.int64) // (factor // 10**6)
    return np.asarray(np.round(np.asarray(numbers) * (10**6 // factor)), np.int64)
