"""Parse the dates and times of a recipe."""

from datetime import UTC, datetime


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
