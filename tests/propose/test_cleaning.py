"""Check that good rows pass the proposed rules, and plainly wrong ones do not."""

import numpy as np

from headrace.propose.cleaning import CleanProposal, propose_cleaning
from headrace.propose.keys import find_row_key
from headrace.propose.label import propose_label
from tests.propose.tables import build_sample, list_days

ROWS = 1_000
RNG = np.random.default_rng(3)


def propose_for(columns: dict, label: str | None = None, **options: int) -> CleanProposal:
    sample = build_sample(columns, **options)
    label_proposal = propose_label(sample.columns[label]) if label else None
    return propose_cleaning(sample, label_proposal, find_row_key(sample, label))


def list_rules(columns: dict, label: str | None = None) -> list[dict]:
    return [dict(r.rule) for r in propose_for(columns, label).rules if "column" in r.rule]


def test_a_key_of_every_row_drops_duplicates() -> None:
    cleaning = propose_for({"id": np.arange(ROWS), "x": RNG.normal(size=ROWS)})
    assert cleaning.dedup_key == ("id",)
    assert dict(cleaning.rules[0].rule) == {"kind": "not_null", "columns": ["id"]}


def test_several_columns_that_do_so_in_a_sample_may_not_in_the_table() -> None:
    columns = {"device_id": np.arange(ROWS) % 50, "at": list_days(20)[np.arange(ROWS) // 50]}
    sample = build_sample(columns, table_rows=10**6)
    key = find_row_key(sample, None)
    assert not key.is_certain
    cleaning = propose_cleaning(sample, None, key)
    assert cleaning.dedup_key == ("device_id", "at")
    assert cleaning.dedup_reason.startswith(
        "unique in all 1,000 sampled rows; if it is unique in the whole table"
    )
    assert cleaning.rules == ()


def test_rows_that_come_twice_have_no_key() -> None:
    assert propose_for({"a": np.arange(ROWS) % 7}).dedup_key == ()


def test_rows_with_the_same_measurements_are_no_duplicates() -> None:
    measured = {"acid": RNG.normal(size=ROWS), "weight": RNG.permutation(10**5)[:ROWS]}
    cleaning = propose_for(measured)
    assert (cleaning.dedup_key, cleaning.rules) == ((), ())


def test_places_on_earth_and_clocks() -> None:
    clock = np.arange(ROWS) % 24 * 100 + np.arange(ROWS) % 60
    latitudes, longitudes = RNG.uniform(19, 72, ROWS), RNG.uniform(-170, 170, ROWS)
    rules = list_rules({"lat": latitudes, "pickup_lon": longitudes, "sched": clock})
    assert rules == [
        {"kind": "range", "column": "lat", "min": -90, "max": 90},
        {"kind": "range", "column": "pickup_lon", "min": -180, "max": 180},
        {"kind": "range", "column": "sched", "min": 0, "max": 2400},
    ]
    # Not where the sample says otherwise: a long is not always a longitude.
    assert list_rules({"long": RNG.uniform(0, 1000, ROWS)}) == []


def test_a_number_that_stands_for_nothing_becomes_null() -> None:
    temp = np.where(np.arange(ROWS) % 50 == 0, -999.0, RNG.normal(10, 5, ROWS))
    (rule,) = list_rules({"temp": temp})
    assert rule["on_violation"] is None
    assert -999 < rule["min"] < temp[temp > -999].min()
    (rule,) = list_rules({"age": np.where(np.arange(ROWS) % 50 == 0, 999, np.arange(ROWS) % 90)})
    assert 90 < rule["max"] < 999


def test_unusual_numbers_are_left_alone() -> None:
    heavy = RNG.lognormal(0, 3, ROWS)
    once = np.append(RNG.normal(size=ROWS - 1), -999)  # once is no habit
    assert list_rules({"heavy": heavy, "once": once, "count": np.arange(ROWS) % 100}) == []


def test_labels_far_beyond_all_others_are_no_labels() -> None:
    (rule,) = list_rules({"y": RNG.uniform(-75, 1109, ROWS)}, "y")
    assert rule == {"kind": "range", "column": "y", "min": -12000, "max": 13000}
    # A row without a label is of no use: it is not made null, which Spark would do too late.
    (rule,) = list_rules(
        {"y": np.where(np.arange(ROWS) % 50 == 0, -999, RNG.normal(size=ROWS))}, "y"
    )
    assert "on_violation" not in rule
