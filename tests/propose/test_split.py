"""Check the split by time, by group and by key, and that no split of few rows is empty."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import LakeError
from headrace.propose.keys import find_row_key
from headrace.propose.label import propose_label
from headrace.propose.split import SplitProposal, propose_split
from headrace.propose.split_point import compute_split_points
from tests.propose.tables import build_sample, list_days

ROWS = 1_000
RNG = np.random.default_rng(2)


def propose_for(columns: dict, label: str | None = None, **options: int) -> SplitProposal:
    sample = build_sample(columns, **options)
    label_proposal = propose_label(sample.columns[label]) if label else None
    return propose_split(sample, label_proposal, find_row_key(sample, label))


def test_events_are_split_by_time_some_days_before_the_newest() -> None:
    split = propose_for({"at": list_days(ROWS), "y": np.arange(ROWS) % 2}, "y")
    assert split.section == {
        "time": {"column": "at", "validation_from": "-200 days", "test_from": "-100 days"}
    }
    assert split.later_mask.mean() == pytest.approx(0.2, abs=0.01)
    assert split.reasons[0].endswith("(in the sample: train 79.9%, validation 10%, test 10.1%)")


def test_within_a_day_some_minutes_before_the_newest() -> None:
    start = np.datetime64("2024-01-01", "us")
    minutes = start + np.arange(ROWS) * np.timedelta64(1, "m")
    section = propose_for({"at": minutes}).section["time"]
    assert section["validation_from"] == "-200 minutes"
    section = propose_for({"at": start + np.arange(ROWS) * np.timedelta64(1, "us")}).section["time"]
    assert section["test_from"] == "2024-01-01T00:00:00.000899"


def test_a_birthday_is_no_event() -> None:
    split = propose_for({"date_of_birth": list_days(ROWS), "key": np.arange(ROWS)})
    assert split.section["key"] == ["key"]


def test_not_by_time_where_all_early_rows_have_one_label() -> None:
    columns = {"at": list_days(ROWS), "id": np.arange(ROWS), "y": np.arange(ROWS) >= 900}
    assert propose_for(columns, "y").time_column is None


def test_a_calendar_day_in_three_columns_is_a_key() -> None:
    split = propose_for(
        {
            "year": np.full(ROWS, 2024), "month": np.arange(ROWS) % 12 + 1,
            "day": np.arange(ROWS) // 12 % 28 + 1, "x": RNG.normal(size=ROWS),
        }
    )  # fmt: skip
    assert split.section["key"] == ["year", "month", "day"]


def test_rows_of_one_customer_share_a_split() -> None:
    split = propose_for({"customer": np.arange(ROWS) % 200, "id": np.arange(ROWS)})
    assert split.section["key"] == ["customer"]
    assert "5.0 rows per value" in split.reasons[0]


def test_else_every_row_goes_by_its_key() -> None:
    split = propose_for({"x": RNG.normal(size=ROWS), "id": np.arange(ROWS)}, table_rows=10**6)
    assert split.section == {
        "key": ["id"], "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1}, "seed": 1,
    }  # fmt: skip


def test_without_a_key_by_the_whole_row() -> None:
    columns = {"a": np.arange(ROWS) % 50, "b": np.arange(ROWS) // 50 % 10, "c": np.zeros(ROWS, int)}
    split = propose_for(columns)
    assert split.section["key"] == ["a", "b", "c"]
    assert split.reasons[0].endswith(
        "rows that are the same in all columns share a split (500 different ones in 1,000 sampled "
        "rows)"
    )


def test_measurements_are_no_key_even_where_they_differ_in_every_row() -> None:
    columns = {"acid": RNG.normal(size=ROWS), "weight": RNG.permutation(10**5)[:ROWS]}
    assert propose_for({**columns, "y": RNG.random(ROWS) < 0.5}, "y").section["key"] == [
        "acid", "weight", "y",
    ]  # fmt: skip


def test_times_are_relative_to_the_newest_row() -> None:
    split = propose_for({"at": list_days(ROWS), "y": np.arange(ROWS) % 2}, "y")
    time = split.section["time"]
    assert (time["validation_from"], time["test_from"]) == ("-200 days", "-100 days")
    assert "relative to the newest row" in split.reasons[1]
    hours = np.datetime64("2024-01-01", "us") + np.arange(ROWS) * np.timedelta64(1, "m")
    time = propose_for({"at": hours}).section["time"]
    assert time["validation_from"] == "-200 minutes"


@given(rows=st.integers(8, 60), salt=st.integers(0, 1000))
def test_of_few_rows_every_split_has_some_and_train_has_both_labels(rows: int, salt: int) -> None:
    keys = [f"{salt}-{n}" for n in range(rows)]
    columns = {"key": keys, "y": [n % 2 == 0 for n in range(rows)]}
    section = propose_for(columns, "y").section
    points = np.array(compute_split_points([(key,) for key in keys], section["seed"]))
    splits = np.digitize(points, [0.6, 0.8])
    assert set(splits.tolist()) == {0, 1, 2}
    assert len({n % 2 for n in np.flatnonzero(splits == 0)}) == 2


def test_too_few_rows_to_be_split_are_refused() -> None:
    with pytest.raises(LakeError, match=r"3 rows with a label and 3 different keys \(a, y\)"):
        propose_for({"a": ["x", "y", "y"], "y": [1.5, 2.5, 7.0]}, "y")
