"""Check names of time zones: those of the IANA database, and none that differs by machine."""

import difflib
from functools import cache
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator

_OF_THE_MACHINE = frozenset({"localtime", "Factory"})


@cache
def _list_time_zones() -> list[str]:
    return sorted(available_timezones() - _OF_THE_MACHINE)


def _check_time_zone(name: str) -> str:
    """Return the name of a time zone.

    Raises:
        ValueError: it is none of the IANA database, as this machine has it.
    """
    if name == "UTC":
        return name
    try:
        if name in _OF_THE_MACHINE:
            raise ZoneInfoNotFoundError(name)
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # paths are a ValueError, folders OSErrors
        zones = _list_time_zones()
        close = difflib.get_close_matches(name, zones, n=1, cutoff=0.6)
        fix = f"did you mean {close[0]}?" if close else "write one such as Europe/Berlin"
        if not zones:
            fix = "this machine has no such database; install the package tzdata"
        raise ValueError(f"a time zone of the IANA database; {fix}") from None
    return name


TimeZone = Annotated[str, AfterValidator(_check_time_zone)]
"""Name of a time zone in the IANA database, for example `Europe/Berlin`."""
