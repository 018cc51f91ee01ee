"""Clocks in time zones: arrays and tensors alike, and as Python's own zones have them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.columns.values import Values
from headrace.features.tensors import Column
from headrace.recipe.feature_sections import TimePart
from headrace.recipe.sections import Label
from headrace.transform.derived import derive_values
from headrace.transform.fit import FitInputs
from headrace.transform.graph_derived import derive_tensors
from headrace.transform.spec import DerivedColumn
from headrace.transform.time_zone import FittedZone, fit_zone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Both hemispheres, half and three quarter hours, negative summer time, a day that was left out,
# Ramadan, two hours of summer time, no change ever, the change at midnight.
ZONES = [
    "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Europe/Dublin", "Pacific/Apia",
    "Africa/Casablanca", "Antarctica/Troll", "Etc/GMT+5", "America/Sao_Paulo", "Asia/Beirut",
]  # fmt: skip


def to_micros(when: datetime) -> int:
    return (when - EPOCH) // timedelta(microseconds=1)


def column(part: str, zone: str) -> DerivedColumn:
    return DerivedColumn(name="d", op="time_part", columns=("t",), part=part, zone=fit_zone(zone))


def derive(part: str, zone: str, micros: list[int]) -> list[int]:
    """Derive by both executions, which agree."""
    item, missing = column(part, zone), np.zeros(len(micros), bool)
    times = np.array(micros, np.int64)
    array = derive_values(item, [Values("timestamp", times, missing)]).array
    tensor = derive_tensors(item, [Column("timestamp", tf.constant(times), tf.constant(missing))])
    assert array.tolist() == tensor.tensor.numpy().tolist()
    return array.tolist()


@settings(deadline=None, max_examples=300)  # machines differ
@given(
    st.datetimes(datetime(1801, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)),
    st.sampled_from(ZONES),
)
def test_clocks_are_those_of_pythons_zones(when: datetime, zone: str) -> None:
    local = when.astimezone(ZoneInfo(zone))
    expected = [local.year, local.timetuple().tm_yday, local.isoweekday(), local.hour]
    parts = ("year", "day_of_year", "day_of_week", "hour")
    assert [derive(part, zone, [to_micros(when)])[0] for part in parts] == expected
    minute = derive("minute", zone, [to_micros(when)])[0]
    assert minute == local.minute


@pytest.mark.parametrize("zone", ZONES)
def test_the_seconds_around_each_change(zone: str) -> None:
    changes = fit_zone(zone).changes
    seconds = [change + step for change in changes[:200] for step in (-1, 0, 1)]
    moments = [EPOCH + timedelta(seconds=second) for second in seconds]
    hours = [moment.astimezone(ZoneInfo(zone)).hour for moment in moments]
    assert derive("hour", zone, [second * 10**6 for second in seconds]) == hours


def test_hand_worked_values() -> None:
    # Summer time began in Berlin at 2013-03-31 01:00 UTC, and ended at 2013-10-27 01:00 UTC.
    times = ["2013-03-31T00:59:59", "2013-03-31T01:00:00", "2013-10-27T00:30:00"]
    times += ["2013-10-27T01:30:00", "2413-07-01T12:00:00", "9999-07-01T12:00:00"]
    micros = [to_micros(datetime.fromisoformat(text).replace(tzinfo=UTC)) for text in times]
    assert derive("hour", "Europe/Berlin", micros) == [1, 3, 2, 2, 14, 14]
    last_of_year = to_micros(datetime(2013, 12, 31, 23, 30, tzinfo=UTC))
    assert derive("year", "Europe/Berlin", [last_of_year]) == [2014]
    assert derive("day_of_week", "Pacific/Apia", [last_of_year]) == [3]
    # Samoa had no 30 December 2011.
    eve = to_micros(datetime(2011, 12, 30, 9, 59, 59, tzinfo=UTC))
    assert derive("day", "Pacific/Apia", [eve, eve + 10**6]) == [29, 31]


def test_times_at_the_limits_of_64_bits_do_not_wrap_around() -> None:
    limits = [2**63 - 1, -(2**63) + 1]
    first, last = derive("year", "America/New_York", limits)
    assert (first, last) == (294_247, -290_308)


def test_what_was_fitted_counts_and_not_the_machine() -> None:
    moved = FittedZone(name="Europe/Berlin", changes=(0,), offsets=(0, 7 * 3600))
    item = DerivedColumn(name="d", op="time_part", columns=("t",), part="hour", zone=moved)
    again = DerivedColumn.model_validate_json(item.model_dump_json())
    times = Values("timestamp", np.array([-1, 0]), np.zeros(2, bool))
    assert derive_values(again, [times]).array.tolist() == [23, 7]
    section = TimePart(kind="time_part", columns=["t"], part="hour", time_zone="Europe/Berlin")
    inputs = FitInputs(
        {"t": "timestamp"}, {"d": section}, {}, Label(expression="y"), zones={moved.name: moved}
    )
    assert inputs.list_derived_columns() == (again,)


def test_utc_needs_no_rules() -> None:
    section = TimePart(kind="time_part", columns=["t"], part="hour")
    (item,) = FitInputs({"t": "timestamp"}, {"d": section}, {}).list_derived_columns()
    assert item.zone is None
    assert "zone" not in item.model_dump_json()  # digests of transforms are as before
