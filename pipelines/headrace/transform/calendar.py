"""Calendar and clock arithmetic, written once for both executions: int64 NumPy arrays and tensors.

Every function uses only operators that `numpy.ndarray` and `tf.Tensor` share (`//` and `%` round
towards minus infinity in both), so that it returns whatever it is given: arrays for arrays, tensors
for tensors. Days are counted from 1970-01-01 in the proleptic Gregorian calendar; days to civil
date and back after Howard Hinnant's `civil_from_days` and `days_from_civil`, in which years begin
on March 1st, so that a leap day is the last of its year.
"""

from typing import Any

Integers = Any
"""int64 array or tensor of any shape."""
Booleans = Any
"""bool array or tensor of the same shape."""

MICROS_PER_DAY = 86_400_000_000
_MICROS_PER_UNIT = {"hour": 3_600_000_000, "minute": 60_000_000, "second": 1_000_000}
_DAYS_PER_ERA = 146_097  # 400 years
_EPOCH = 719_468  # days from 0000-03-01 to 1970-01-01


def read_time_part(micros: Integers, part: str, offsets: Integers | None = None) -> Integers:
    """Return a calendar field of microseconds since 1970-01-01 UTC.

    Args:
        micros: the times.
        part: year, month, day, day_of_year, day_of_week (1 Monday to 7 Sunday), hour, minute or
            second.
        offsets: seconds that the clock is ahead of UTC at each time; None in UTC.
    """
    day, micros_of_day = micros // MICROS_PER_DAY, micros % MICROS_PER_DAY
    if offsets is not None:  # added to the time of day: a sum with `micros` could wrap around
        local = micros_of_day + offsets * _MICROS_PER_UNIT["second"]
        day, micros_of_day = day + local // MICROS_PER_DAY, local % MICROS_PER_DAY
    if part in _MICROS_PER_UNIT:
        return micros_of_day // _MICROS_PER_UNIT[part] % (24 if part == "hour" else 60)
    if part == "day_of_week":
        return _find_weekday(day)
    if part == "day_of_year":
        return _find_day_of_year(day)
    year, month, day_of_month = split_date(day)
    return {"year": year, "month": month, "day": day_of_month}[part]


def find_weekday_of_date(
    year: Integers, month: Integers, day: Integers
) -> tuple[Integers, Booleans]:
    """Return the day of the week, 1 Monday to 7 Sunday, and which dates exist.

    Dates of the years 1 to 9999 exist where the calendar gives them back.
    """
    count = _count_days(year, month, day)
    same_year, same_month, same_day = split_date(count)
    exists = (same_year == year) & (same_month == month) & (same_day == day)
    return _find_weekday(count), exists & (year >= 1) & (year <= 9999)


def split_date(day: Integers) -> tuple[Integers, Integers, Integers]:
    """Return year, month and day of the month of days since 1970-01-01."""
    era, year_of_era, day_of_year = _split_shifted_day(day)
    month = (5 * day_of_year + 2) // 153  # 0 is March
    next_year = month // 10  # 1 in January and February
    return (
        era * 400 + year_of_era + next_year,
        month + 3 - 12 * next_year,
        day_of_year - (153 * month + 2) // 5 + 1,
    )


def read_clock(clock: Integers, part: str) -> tuple[Integers, Booleans]:
    """Return the hour, or the minutes since midnight, of times HHMM, and which times exist.

    Args:
        clock: for example 517; 2400 to 2459 exist as well.
        part: `hour_of_day` or `minute_of_day`.
    """
    hour, minute = clock // 100, clock % 100
    exists = (clock >= 0) & (hour <= 24) & (minute < 60)
    return (hour if part == "hour_of_day" else hour * 60 + minute), exists


def _find_weekday(day: Integers) -> Integers:
    return (day + 3) % 7 + 1  # day 0 was a Thursday


def _find_day_of_year(day: Integers) -> Integers:
    era, year_of_era, day_of_year = _split_shifted_day(day)
    next_year = day_of_year // 306  # 1 in January and February
    year = era * 400 + year_of_era
    is_leap = _count_leap_days(year) - _count_leap_days(year - 1)
    return day_of_year + 60 + is_leap - next_year * (365 + is_leap)


def _count_leap_days(year: Integers) -> Integers:
    """Return how many leap days there are from year 1 to the end of a year."""
    return year // 4 - year // 100 + year // 400


def _split_shifted_day(day: Integers) -> tuple[Integers, Integers, Integers]:
    """Return 400 years' era, year of it (0 to 399) and day of it, for years from March 1st on."""
    shifted = day + _EPOCH
    era = shifted // _DAYS_PER_ERA
    day_of_era = shifted - era * _DAYS_PER_ERA
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    return era, year, day_of_era - (365 * year + year // 4 - year // 100)


def _count_days(year: Integers, month: Integers, day: Integers) -> Integers:
    """Return days since 1970-01-01; what is no date gives that of another one."""
    from_march = (month + 9) % 12
    year = year - from_march // 10
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * from_march + 2) // 5 + day - 1
    day_of_era = 365 * year_of_era + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * _DAYS_PER_ERA + day_of_era - _EPOCH
