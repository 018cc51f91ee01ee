"""Resolve the boundaries of a split by time that follow from the rows: distances from the newest
row, and shares of the newest rows.

It is done where the transform is fitted, over the rows that no rule and no filter takes out, in one
more pass over the columns that decide that. Increments use the boundaries that were recorded, so
the split of a row is a function of its time alone until a refit.

Shares are met exactly, but for rows of one time, which stay together: rows are counted by day, then
by second and microsecond within the days that a boundary may lie in, so that the driver holds no
more than days, seconds of a day and microseconds of a second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial, reduce
from itertools import accumulate
from operator import or_
from typing import TYPE_CHECKING

from headrace.errors import LakeError
from headrace.lake.time_boundaries import TimeBoundaries
from headrace.prepare.assign import select_candidates
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.recipe.times import format_micros, parse_distance_to_micros
from headrace.source.internal_columns import TIME
from headrace.source.rules import CheckedRows
from headrace.spark_engine.find_engine import find_engine

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LATEST_CLOCK = timedelta(days=1)
"""Rows may be this much newer than the clock: it covers all time zones, and clocks that differ."""
_DAY, _SECOND = 86_400_000_000, 1_000_000
_WIDTHS = (_DAY, _SECOND, 1)  # of the groups, in microseconds, coarse to fine


@dataclass(frozen=True)
class TimeGroup:
    """Rows of times next to each other.

    Attributes:
        first, last: their oldest and newest time, in microseconds.
        rows: number of rows.
    """

    first: int
    last: int
    rows: int


CountGroups = Callable[[list[TimeGroup] | None, int], list[TimeGroup]]
"""Counts the rows whose times lie in groups, or all rows, in groups of a width in microseconds,
which divides the width of the former; the oldest group first."""


def resolve_boundaries(
    recipe: Recipe, labelled: CheckedRows, now: datetime
) -> TimeBoundaries | None:
    """Return the boundaries that follow from the rows; None where the recipe has dates or a key.

    Args:
        recipe: split, dedup and label are read.
        labelled: all rows that are read, checked and with labels.
        now: the current time.

    Raises:
        LakeError: rows lie in the future, or have too few times for the splits.
    """
    time = recipe.split.time
    if time is None or not time.is_relative:
        return None
    candidates = select_candidates(labelled, recipe)
    latest = round((now + LATEST_CLOCK).timestamp()) * _SECOND
    if not time.has_shares:
        return subtract_distances(time, _find_newest(candidates, time, latest))
    from pyspark import StorageLevel

    times = candidates.persist(StorageLevel.DISK_ONLY)  # the lake is read once
    try:
        newest = _find_newest(times, time, latest)
        return cut_shares(time, newest, partial(_count_groups, times))
    finally:
        find_engine(times.sparkSession).unpersist(times)


def subtract_distances(time: s.TimeSplit, newest: int | None) -> TimeBoundaries:
    """Return the boundaries that lie at distances before the newest time.

    Args:
        time: has distances.
        newest: time in microseconds; None where there is no row, which has no boundaries either.
    """
    if newest is None:
        return TimeBoundaries(validation_from=0, test_from=0)
    assert time.validation_from is not None and time.test_from is not None
    return TimeBoundaries(
        validation_from=newest - parse_distance_to_micros(time.validation_from),
        test_from=newest - parse_distance_to_micros(time.test_from),
        newest=newest,
    )


def cut_shares(time: s.TimeSplit, newest: int | None, count_groups: CountGroups) -> TimeBoundaries:
    """Return the boundaries that come nearest to shares of the newest rows.

    Rows of one time stay together, and no split stays empty while there are times for all.

    Args:
        time: has shares.
        newest: time in microseconds; None where there is no row.
        count_groups: counts the rows.

    Raises:
        LakeError: there are fewer different times than splits.
    """
    if newest is None:
        return TimeBoundaries(validation_from=0, test_from=0)
    assert time.validation is not None and time.test is not None
    shares = time.test, time.test + time.validation
    moments = _count_moments(count_groups, shares)
    rows = sum(moment.rows for moment in moments)
    if len(moments) < 3:
        listed = ", ".join(f"{format_micros(m.first)}: {m.rows:,} rows" for m in moments)
        raise LakeError(
            f"split.time ({time.describe()}): column {time.column!r} has {len(moments)} different "
            f"times ({listed}), and rows of one time are in one split, so that train, validation "
            "and test cannot all have rows; nothing was published. Split by a finer time, or by "
            "split.key"
        )
    # Rows from each moment on; the oldest moment is train's, the newest one test's.
    newer = list(accumulate(moment.rows for moment in reversed(moments)))[::-1]
    positions = range(len(moments))
    test = min(positions[2:], key=lambda i: abs(newer[i] - shares[0] * rows))
    validation = min(positions[1:test], key=lambda i: abs(newer[i] - shares[1] * rows))
    return TimeBoundaries(
        validation_from=moments[validation].first, test_from=moments[test].first, newest=newest
    )


def _count_moments(count_groups: CountGroups, shares: tuple[float, ...]) -> list[TimeGroup]:
    """Count rows by time, wherever a boundary may lie, and in coarser groups elsewhere.

    A boundary lies in the group in which a share of the newest rows is reached, or beside it where
    splits would be empty otherwise; so it does among the three oldest and newest times.
    """
    groups = count_groups(None, _WIDTHS[0])
    rows = sum(group.rows for group in groups)
    for width in _WIDTHS[1:]:
        near = {0, 1, 2, len(groups) - 1, len(groups) - 2, len(groups) - 3}
        newer = 0
        for position in reversed(range(len(groups))):
            older = newer + groups[position].rows
            if any(newer <= share * rows <= older for share in shares):
                near |= {position - 1, position, position + 1}
            newer = older
        coarse = [g for i, g in enumerate(groups) if i in near and g.first != g.last]
        if coarse:
            divided = {group.first for group in coarse}
            rest = [group for group in groups if group.first not in divided]
            groups = sorted([*rest, *count_groups(coarse, width)], key=lambda group: group.first)
    return groups


def _find_newest(times: "DataFrame", time: s.TimeSplit, latest: int) -> int | None:
    """Find the newest time; None where there is no row.

    Raises:
        LakeError: rows are newer than `latest`.
    """
    import pyspark.sql.functions as F

    is_late = F.col(TIME) > latest
    newest, rows, late = times.agg(F.max(TIME), F.count("*"), F.count_if(is_late)).collect()[0]
    if late:
        raise LakeError(
            f"split.time.column: {late:,} of {rows:,} rows have a {time.column!r} in the future, "
            f"the newest {format_micros(newest)}; the boundaries ({time.describe()}) follow from "
            "the newest rows, so these would decide the split of all others. Nothing was "
            "published. Reject them by a rule (clean.rules: "
            f"{{kind: range, column: {time.column}, max: …}}), leave them out by `where` of the "
            "table, or give dates"
        )
    return newest


def _count_groups(
    times: "DataFrame", within: list[TimeGroup] | None, width: int
) -> list[TimeGroup]:
    """Count the rows of `times` in groups, see `CountGroups`."""
    import pyspark.sql.functions as F

    time = F.col(TIME)
    if within is not None:
        inside = (time.between(group.first, group.last) for group in within)
        times = times.where(reduce(or_, inside))
    counted = times.groupBy((time - F.pmod(time, F.lit(width))).alias("group"))
    groups = counted.agg(F.min(TIME), F.max(TIME), F.count("*")).collect()
    return sorted((TimeGroup(*row[1:]) for row in groups), key=lambda group: group.first)
