"""Boundaries that follow from the rows, by hand and against a count of every time."""

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.errors import LakeError
from headrace.prepare.split_boundaries import TimeGroup, cut_shares, subtract_distances
from headrace.recipe import sections as s
from headrace.recipe.times import parse_time_to_micros

DAY = 86_400_000_000


def by_shares(validation: float, test: float) -> s.TimeSplit:
    return s.TimeSplit(column="at", validation=validation, test=test)


class Rows:
    """Times, counted as Spark counts them; how many groups were handed over is kept."""

    def __init__(self, times: list[int]) -> None:
        self.times, self.groups = times, 0

    def count_groups(self, within: list[TimeGroup] | None, width: int) -> list[TimeGroup]:
        groups: dict[int, list[int]] = {}
        for time in self.times:
            if within is None or any(g.first <= time <= g.last for g in within):
                groups.setdefault(time // width, []).append(time)
        self.groups += len(groups)
        found = (TimeGroup(min(g), max(g), len(g)) for g in groups.values())
        return sorted(found, key=lambda group: group.first)

    def cut(self, validation: float, test: float) -> tuple[int, int, int]:
        """Return the rows of train, validation and test."""
        boundaries = cut_shares(by_shares(validation, test), max(self.times), self.count_groups)
        assert boundaries.newest == max(self.times)
        older = sum(t < boundaries.validation_from for t in self.times)
        newer = sum(t >= boundaries.test_from for t in self.times)
        assert {boundaries.validation_from, boundaries.test_from} < {*self.times}
        return older, len(self.times) - older - newer, newer


@pytest.mark.parametrize(
    ("rows_by_day", "shares", "expected"),
    [
        ([1] * 100, (0.1, 0.1), (80, 10, 10)),
        ([10] * 10, (0.1, 0.1), (80, 10, 10)),
        ([10] * 10, (0.12, 0.14), (70, 20, 10)),  # 26 of the newest is nearer to 30 than to 20
        ([10] * 10, (0.01, 0.01), (80, 10, 10)),  # never empty: the newest time, and the one before
        ([80, 5, 15], (0.1, 0.1), (80, 5, 15)),
        ([34, 33, 33], (0.1, 0.1), (34, 33, 33)),
        ([1, 1, 98], (0.1, 0.1), (1, 1, 98)),
        ([98, 1, 1], (0.4, 0.4), (98, 1, 1)),
        ([1, 97, 1, 1], (0.5, 0.3), (1, 97, 2)),
    ],
)
def test_shares_of_days(
    rows_by_day: list[int], shares: tuple[float, float], expected: tuple[int, int, int]
) -> None:
    times = [day * DAY for day, rows in enumerate(rows_by_day) for _ in range(rows)]
    assert Rows(times).cut(*shares) == expected


TIMES = st.lists(
    st.builds(
        lambda day, second, micro: day * DAY + second * 1_000_000 + micro,
        st.integers(-3, 3),
        st.integers(0, 2) | st.just(86_399),
        st.integers(0, 2) | st.just(999_999),
    ),
    min_size=3,
    max_size=40,
)
SHARES = st.floats(0.001, 0.499)


@given(TIMES, SHARES, SHARES)
@example([0, 0, 0, 0, 1, 2], 0.1, 0.1)
@example([0] * 3 + [DAY + n for n in range(4)] + [5 * DAY], 0.49, 0.02)
def test_no_other_boundary_of_the_test_split_is_nearer(
    times: list[int], validation: float, test: float
) -> None:
    moments = sorted({*times})
    if len(moments) < 3:
        return
    counts = Counter(times)
    newer = [sum(counts[m] for m in moments[i:]) for i in range(len(moments))]
    rows = Rows(times).cut(validation, test)
    assert all(rows)
    wanted = test * len(times)
    assert abs(rows[2] - wanted) == min(abs(n - wanted) for n in newer[2:])
    wanted = (validation + test) * len(times)
    others = [n for n in newer[1:] if n > rows[2]]
    assert abs(rows[1] + rows[2] - wanted) == min(abs(n - wanted) for n in others)


def test_days_without_a_boundary_are_not_divided() -> None:
    rows = Rows([day * DAY + second * 1_000_000 for day in range(400) for second in range(50)])
    assert rows.cut(0.1, 0.1) == (16_000, 2_000, 2_000)
    assert rows.groups < 400 + 20 * 50


@pytest.mark.parametrize(("times", "what"), [([7], "has 1 different times"), ([7, 7, 9], "has 2")])
def test_fewer_times_than_splits_are_refused(times: list[int], what: str) -> None:
    with pytest.raises(LakeError, match=rf"split.time \(validation: 0.1, test: 0.1\).*{what}"):
        Rows(times).cut(0.1, 0.1)


@pytest.mark.parametrize(
    ("distance", "boundary"),
    [
        ("-1 second", "2026-03-31T11:59:59"),
        ("-90 minutes", "2026-03-31T10:30"),
        ("-1 hour", "2026-03-31T11:00"),
        ("-31 days", "2026-02-28T12:00"),
        ("-2 weeks", "2026-03-17T12:00"),
    ],
)
def test_distances_from_the_newest_row(distance: str, boundary: str) -> None:
    time = s.TimeSplit(column="at", validation_from="-52 weeks", test_from=distance)
    newest = parse_time_to_micros("2026-03-31T12:00")
    resolved = subtract_distances(time, newest)
    assert resolved.test_from == parse_time_to_micros(boundary)
    assert resolved.validation_from == parse_time_to_micros("2025-04-01T12:00")
    assert resolved.newest == newest
