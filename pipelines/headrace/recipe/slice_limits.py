"""Read the limits between buckets of a slice, and say which columns they can divide."""

from collections.abc import Iterable
from itertools import pairwise

from headrace.recipe.times import parse_time_to_micros

WrittenLimit = int | float | str
Limit = int | float
"""Of times in microseconds since 1970-01-01 UTC."""
_ORDERED = frozenset({"integer", "real", "timestamp"})
_WORDS = {"boolean": "true and false", "string": "texts", "cross": "several columns together"}


def parse_limits(limits: Iterable[WrittenLimit]) -> list[Limit]:
    """Return limits as numbers, dates and times among them as microseconds.

    Raises:
        ValueError: a text is no date or time.
    """
    return [parse_time_to_micros(x) if isinstance(x, str) else x for x in limits]


def describe_bad_limits(limits: list[WrittenLimit]) -> tuple[str, str] | None:
    """Describe what is wrong with limits by themselves, and the fix; None where nothing is."""
    if len({isinstance(limit, str) for limit in limits}) > 1:
        return f"got {limits}, numbers beside texts", "give numbers, or dates and times"
    try:
        numbers = parse_limits(limits)
    except ValueError:
        return f"got {limits}, expected numbers, or dates and times", "write times as 2024-05-31"
    if any(low >= high for low, high in pairwise(numbers)):
        return f"got {limits}, expected rising limits, each once", "sort them"
    return None


def describe_misfit(
    column: str, limits: Iterable[WrittenLimit], types: Iterable[str]
) -> tuple[str, str] | None:
    """Describe why limits cannot divide a column, and the fix; None where they can.

    Args:
        column: its name.
        limits: of the recipe.
        types: that its values may have: integer, real, timestamp, string, boolean; or cross.
    """
    types = {*types}
    if not types & _ORDERED:
        words = " or ".join(sorted(_WORDS.get(kind, kind) for kind in types))
        return f"{column} holds {words}, which no limits divide", "remove buckets"
    is_time = any(isinstance(limit, str) for limit in limits)
    if is_time and "timestamp" not in types:
        return f"got dates or times, and {column} holds numbers", "give numbers"
    if not is_time and types.isdisjoint({"integer", "real"}):
        return f"got numbers, and {column} holds times", "give dates, such as 2024-05-31"
    return None
