"""Parse the dates and times of a recipe, and distances from the newest row's time."""

import re
from datetime import UTC, datetime

UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
"""Unit of a distance -> seconds. A month and a year have no fixed length."""
_DISTANCE = re.compile(r"-\s*(\d+)\s*([A-Za-z]+)")
_LONGEST = 10_000 * 366 * UNITS["day"]  # no time that Python can say lies further back


def parse_time_to_micros(text: str) -> int:
    """Return microseconds since 1970-01-01 UTC of an ISO 8601 date or time.

    UTC is assumed where there is no zone.

    Raises:
        ValueError: the text is neither.
    """
    time = datetime.fromisoformat(text)
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    delta = time - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def is_distance(text: str) -> bool:
    """Return whether a text is meant as a distance from the newest row: it begins with a minus."""
    return text.lstrip().startswith("-")


def parse_distance_to_micros(text: str) -> int:
    """Return the microseconds that a distance such as `-90 days` lies before the newest row.

    Raises:
        ValueError: the text is no such distance; the message says what it may be.
    """
    match = _DISTANCE.fullmatch(text.strip())
    unit = match[2].lower().removesuffix("s") if match else ""
    if match is None or unit not in UNITS:
        raise ValueError("a whole number of seconds, minutes, hours, days or weeks, as -90 days")
    seconds = int(match[1]) * UNITS[unit] if len(match[1]) <= len(str(_LONGEST)) else _LONGEST + 1
    if not 0 < seconds <= _LONGEST:
        raise ValueError("a distance above 0 and below 10,000 years")
    return seconds * 1_000_000


def format_micros(micros: int) -> str:
    """Return a time, in microseconds since 1970-01-01 UTC, as ISO 8601; times that Python cannot
    say as that number."""
    seconds, rest = divmod(micros, 1_000_000)
    try:
        time = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
    except (ValueError, OverflowError, OSError):
        return f"{micros:,} microseconds since 1970"
    return time.isoformat().replace("+00:00", "Z")
