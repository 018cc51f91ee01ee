"""Read a time zone's rules once, when a transform is fitted, so that they are the same ever after.

The rules of a zone are part of the transform, as its offsets from UTC and the times when they
change. What reads them needs no database of zones: those differ from machine to machine, and change
several times a year. The calendar repeats every 400 years, weekdays included, and so do the rules
that a zone has today; times from `HORIZON` on are looked up in the 400 years before it.
"""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BaseModel, ConfigDict

SECONDS_PER_CYCLE = 146_097 * 86_400
"""Seconds of 400 years."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Zones had local mean times before; databases name changes one by one until 2087, for Ramadan.
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC) for year in (1800, 2500))
HORIZON = int((_LAST - _EPOCH).total_seconds())
"""Seconds from 1970 to 2500: from 400 years before on, a zone's present rules alone apply."""


class FittedZone(BaseModel):
    """A time zone's offsets from UTC, as they were known when the transform was fitted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """In the IANA database."""
    changes: tuple[int, ...]
    """When the offset changes: seconds since 1970-01-01 UTC, rising."""
    offsets: tuple[int, ...]
    """Seconds east of UTC: before the first change, and from each change on."""

    def find_offsets(self, micros: np.ndarray) -> np.ndarray:
        """Return seconds east of UTC at times, int64 of the same shape.

        Args:
            micros: microseconds since 1970-01-01 UTC, int64; `graph_derived.py` has the counterpart
                for tensors.
        """
        seconds = micros // 1_000_000
        cycles = np.maximum((seconds - HORIZON) // SECONDS_PER_CYCLE + 1, 0)
        positions = np.searchsorted(
            np.asarray(self.changes, np.int64), seconds - cycles * SECONDS_PER_CYCLE, side="right"
        )
        return np.asarray(self.offsets, np.int64)[positions]


@cache
def fit_zone(name: str) -> FittedZone:
    """Return the rules of a zone of this machine's database.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    zone = ZoneInfo(name)

    def read_offset(seconds: int) -> int:
        moment = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone)
        return int(moment.utcoffset().total_seconds())  # type: ignore[union-attr]

    first = int((_FIRST - _EPOCH).total_seconds())
    changes: list[int] = []
    offsets = [read_offset(first)]
    for day_begin in range(first, HORIZON, 86_400):
        day_end = day_begin + 86_400
        if read_offset(day_end) != offsets[-1]:
            before = offsets[-1]
            # The first second of the day that has another offset than the day before.
            position = bisect_right(
                range(day_begin, day_end), False, key=lambda second: read_offset(second) != before
            )
            changes.append(day_begin + position)
            offsets.append(read_offset(day_end))
    return FittedZone(name=name, changes=tuple(changes), offsets=tuple(offsets))
