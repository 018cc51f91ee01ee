"""By time, by what belongs together, or by key; and no split of few rows is empty."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import LakeError
from headrace.propose.keys import row_key
from headrace.propose.label import propose_label
from headrace.propose.sample import Sample
from headrace.propose.split import SplitProposal, propose_split
from headrace.propose.split_point import split_points, xxh64
from tests.propose.tables import days, sample_of

ROWS = 1_000
RNG = np.random.default_rng(2)


def split_of(columns: dict, label: str | None = None, **options: int) -> SplitProposal:
    sample = sample_of(columns, **options)
    found = propose_label(sample.columns[label]) if label else None
    return propose_split(sample, found, row_key(sample, label))


def test_events_are_split_by_time_at_round_dates() -> None:
    found = split_of({"at": days(ROWS), "y": np.arange(ROWS) % 2}, "y")
    assert found.section == {
        "time": {"column": "at", "validation_from": "2026-03-10", "test_from": "2026-06-18"}
    }
    assert found.later.mean() == pytest.approx(0.2, abs=0.01)
    assert found.why[0].endswith("(of the sample train 80%, validation 10%, test 10%)")


def test_within_a_day_at_round_hours_and_seconds() -> None:
    start = np.datetime64("2024-01-01", "us")
    minutes = start + np.arange(ROWS) * np.timedelta64(1, "m")
    section = split_of({"at": minutes}).section["time"]
    assert section["validation_from"] == "2024-01-01T13:19:00"
    section = split_of({"at": start + np.arange(ROWS) * np.timedelta64(1, "us")}).section["time"]
    assert section["test_from"] == "2024-01-01T00:00:00.000899"


def test_a_birthday_is_no_event() -> None:
    found = split_of({"date_of_birth": days(ROWS), "key": np.arange(ROWS)})
    assert found.section["key"] == ["key"]


def test_not_by_time_where_all_early_rows_have_one_label() -> None:
    columns = {"at": days(ROWS), "id": np.arange(ROWS), "y": np.arange(ROWS) >= 900}
    assert split_of(columns, "y").time is None


def test_a_calendar_day_in_three_columns_is_a_key() -> None:
    found = split_of(
        {
            "year": np.full(ROWS, 2024), "month": np.arange(ROWS) % 12 + 1,
            "day": np.arange(ROWS) // 12 % 28 + 1, "x": RNG.normal(size=ROWS),
        }
    )  # fmt: skip
    assert found.section["key"] == ["year", "month", "day"]


def test_rows_of_one_customer_share_a_split() -> None:
    found = split_of({"customer": np.arange(ROWS) % 200, "id": np.arange(ROWS)})
    assert found.section["key"] == ["customer"]
    assert "5.0 rows a value" in found.why[0]


def test_else_every_row_goes_by_its_key() -> None:
    found = split_of({"x": RNG.normal(size=ROWS), "id": np.arange(ROWS)}, table_rows=10**6)
    assert found.section == {
        "key": ["id"], "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1}, "seed": 1,
    }  # fmt: skip


def test_without_a_key_by_the_columns_that_tell_most_rows_apart() -> None:
    columns = {"a": np.arange(ROWS) % 50, "b": np.arange(ROWS) // 50 % 10, "c": np.zeros(ROWS, int)}
    sample = sample_of(columns)
    key = row_key(sample, None)
    assert (key.columns, key.distinct) == (("a", "b"), 500)
    assert "500 different values in 1,000 sampled rows" in propose_split(sample, None, key).why[0]


def test_the_label_is_no_part_of_a_key() -> None:
    sample = sample_of({"y": np.arange(ROWS), "a": np.arange(ROWS) % 7})
    assert row_key(sample, "y").columns == ("a",)


@given(rows=st.integers(8, 60), salt=st.integers(0, 1000))
def test_of_few_rows_every_split_has_some_and_train_has_both_labels(rows: int, salt: int) -> None:
    keys = [f"{salt}-{n}" for n in range(rows)]
    columns = {"key": keys, "y": [n % 2 == 0 for n in range(rows)]}
    section = split_of(columns, "y").section
    points = np.array(split_points([(key,) for key in keys], section["seed"]))
    place = np.digitize(points, [0.6, 0.8])
    assert set(place.tolist()) == {0, 1, 2}
    assert len({n % 2 for n in np.flatnonzero(place == 0)}) == 2


def test_too_few_rows_to_be_split_are_told() -> None:
    with pytest.raises(LakeError, match=r"3 rows with a label and 2 different keys \(a\)"):
        split_of({"a": ["x", "y", "y"], "y": [1.5, 2.5, 7.0]}, "y")


def test_hashes_of_the_specification() -> None:
    # From xxHash's own test vectors: the empty text, and texts of its doc's test suite.
    assert xxh64(b"", 0) == 0xEF46DB3751D8E999
    assert xxh64(b"a", 0) == 0xD24EC4F1A98C6E5B
    assert xxh64(b"abc", 0) == 0x44BC2CF5AD770999


@pytest.mark.spark
def test_rows_go_where_prepare_puts_them(spark: object, tmp_path: Path) -> None:
    from headrace.prepare.assign import split_of as spark_split
    from tests.tiny import tiny_recipe

    texts = ["", "a", "é" * 20, "x" * 31, "x" * 32, "y" * 33, "z" * 100, None, *map(str, range(60))]
    numbers = list(range(len(texts)))
    recipe = tiny_recipe(tmp_path, "split.key=[text, number]", "split.seed=7")
    frame = spark.createDataFrame(pa.table({"text": texts, "number": numbers}))
    found = [row[0] for row in frame.select(spark_split(recipe)).collect()]
    keys = [(text, str(number)) for text, number in zip(texts, numbers, strict=True)]
    points = split_points(keys, 7)
    assert found == np.digitize(points, [0.6, 0.8]).tolist()
    assert len(set(found)) == 3


def test_one_sample_row_is_enough_for_a_key() -> None:
    sample: Sample = sample_of({"a": ["x"]})
    assert row_key(sample, None).columns == ("a",)
