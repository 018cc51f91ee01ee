"""Rules that good rows pass, and what is plainly wrong does not."""

import numpy as np

from headrace.propose.cleaning import CleanProposal, propose_cleaning
from headrace.propose.keys import row_key
from headrace.propose.label import propose_label
from tests.propose.tables import sample_of

ROWS = 1_000
RNG = np.random.default_rng(3)


def cleaning_of(columns: dict, label: str | None = None, **options: int) -> CleanProposal:
    sample = sample_of(columns, **options)
    found = propose_label(sample.columns[label]) if label else None
    return propose_cleaning(sample, found, row_key(sample, label))


def rules_of(columns: dict, label: str | None = None) -> list[dict]:
    return [dict(r.rule) for r in cleaning_of(columns, label).rules if "column" in r.rule]


def test_a_key_of_every_row_removes_doubled_ones() -> None:
    found = cleaning_of({"id": np.arange(ROWS), "x": RNG.normal(size=ROWS)})
    assert found.dedup == ("id",)
    assert dict(found.rules[0].rule) == {"kind": "not_null", "columns": ["id"]}


def test_several_columns_that_do_so_in_a_sample_may_not_in_the_table() -> None:
    columns = {"a": np.arange(ROWS) % 50, "b": np.arange(ROWS) // 50}
    sample = sample_of(columns, table_rows=10**6)
    key = row_key(sample, None)
    assert not key.certain
    found = propose_cleaning(sample, None, key)
    assert found.dedup == ("a", "b")
    assert found.dedup_why.startswith("tells all 1,000 sampled rows apart; if it does so for all")
    assert found.rules == ()


def test_rows_that_come_twice_have_no_key() -> None:
    assert cleaning_of({"a": np.arange(ROWS) % 7}).dedup == ()


def test_places_on_earth_and_clocks() -> None:
    clock = np.arange(ROWS) % 24 * 100 + np.arange(ROWS) % 60
    found = rules_of({"lat": RNG.uniform(19, 72, ROWS), "pickup_lon": RNG.uniform(-170, 170, ROWS),
                      "sched": clock})  # fmt: skip
    assert found == [
        {"kind": "range", "column": "lat", "min": -90, "max": 90},
        {"kind": "range", "column": "pickup_lon", "min": -180, "max": 180},
        {"kind": "range", "column": "sched", "min": 0, "max": 2400},
    ]
    # Not where the sample says otherwise: a long is not always a longitude.
    assert rules_of({"long": RNG.uniform(0, 1000, ROWS)}) == []


def test_a_number_that_stands_for_nothing_becomes_null() -> None:
    temp = np.where(np.arange(ROWS) % 50 == 0, -999.0, RNG.normal(10, 5, ROWS))
    (rule,) = rules_of({"temp": temp})
    assert rule["on_violation"] is None
    assert -999 < rule["min"] < temp[temp > -999].min()
    (rule,) = rules_of({"age": np.where(np.arange(ROWS) % 50 == 0, 999, np.arange(ROWS) % 90)})
    assert 90 < rule["max"] < 999


def test_unusual_numbers_are_left_alone() -> None:
    heavy = RNG.lognormal(0, 3, ROWS)
    once = np.append(RNG.normal(size=ROWS - 1), -999)  # once is no habit
    assert rules_of({"heavy": heavy, "once": once, "count": np.arange(ROWS) % 100}) == []


def test_labels_far_beyond_all_others_are_no_labels() -> None:
    (rule,) = rules_of({"y": RNG.uniform(-75, 1109, ROWS)}, "y")
    assert rule == {"kind": "range", "column": "y", "min": -12000, "max": 13000}
    # A row without a label is of no use: it is not made null, which Spark would do too late.
    (rule,) = rules_of({"y": np.where(np.arange(ROWS) % 50 == 0, -999, RNG.normal(size=ROWS))}, "y")
    assert "on_violation" not in rule
