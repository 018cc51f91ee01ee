"""What becomes of a column, by its type and values."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.propose.names import Names
from headrace.propose.roles import Role, role_of
from tests.propose.tables import days, sample_of

ROWS = 1_000
RNG = np.random.default_rng(4)
NUMBERS = np.arange(ROWS)


def role(values: object, name: str = "x", **options: bool) -> Role:
    sample = sample_of({name: values})
    return role_of(sample.columns[name], Names([name]), ROWS, **options)


@pytest.mark.parametrize(
    ("values", "settings", "why"),
    [
        (RNG.normal(size=ROWS), {"kind": "standardize"}, "a number"),
        (NUMBERS % 7, {"kind": "vocabulary", "min_count": 1}, "few whole numbers"),
        (NUMBERS % 300 * 7, {"kind": "standardize"}, "many whole numbers"),
        (RNG.lognormal(3, 2, ROWS), {"kind": "standardize", "log1p": True}, "skewed"),
        (
            RNG.standard_cauchy(ROWS),
            {"kind": "robust", "clip": {"quantiles": [0.001, 0.999]}},
            "outliers on both sides",
        ),
        (
            pa.array(RNG.normal(size=ROWS), mask=NUMBERS % 5 == 0),
            {"kind": "standardize", "indicator": True},
            "a fifth is missing",
        ),
        (np.array(["a", "b", "c"])[NUMBERS % 3], {"kind": "vocabulary"}, "few texts"),
        ([f"t{n % 600}" for n in NUMBERS], {"kind": "hash", "buckets": 2048}, "many texts"),
        (
            [f"the word {n} of many" for n in NUMBERS],
            {"kind": "text", "length": 5, "max_size": 20_000, "min_count": 2},
            "sentences",
        ),
        (NUMBERS % 2 == 0, {"kind": "vocabulary"}, "a truth value"),
        ([[1, 2], [3]] * 500, {"kind": "multi_valued", "length": 2}, "lists of ids"),
        ([[0.5, 1.5, 2.5]] * ROWS, {"kind": "series", "length": 3}, "lists of numbers"),
    ],
)
def test_the_feature_of_a_column(values: object, settings: dict, why: str) -> None:
    found = role(values)
    expected = {key: value for key, value in settings.items() if (key, value) != ("min_count", 1)}
    assert [(line.name, dict(line.settings)) for line in found.features] == [("x", expected)], why


def test_numbers_that_are_names_are_hashed() -> None:
    assert role(NUMBERS % 500, "zip_code").features[0].settings["kind"] == "hash"


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("x", np.full(ROWS, 7), "7 in all 1,000 sampled rows"),
        ("x", pa.nulls(ROWS, pa.int64()), "null in all 1,000 sampled rows"),
        ("x", pa.array(NUMBERS, mask=NUMBERS > 4), "null in 995 of 1,000 sampled rows"),
        ("x", NUMBERS, "counts the rows"),
        ("order_id", NUMBERS * 3 + 17, "a key: 1,000 different values in 1,000 sampled rows"),
        ("x", [f"N{n}" for n in NUMBERS], "a key: 1,000 different values in 1,000 sampled rows"),
        ("x", [[]] * ROWS, "lists that are empty"),
    ],
)
def test_columns_that_are_left_out_with_the_reason(name: str, values: object, why: str) -> None:
    found = role(values, name)
    assert (found.features, found.left_out) == ((), why)


def test_parts_of_times() -> None:
    hours = np.datetime64("2024-01-01", "us") + NUMBERS * np.timedelta64(1, "h")
    found = role(hours, "at", splits=True)
    assert [line.name for line in found.features] == ["at_hour", "at_day_of_week"]
    assert dict(found.derive[0].settings) == {
        "kind": "time_part", "part": "hour", "columns": ["at"]
    }  # fmt: skip
    assert dict(found.features[0].settings) == {"kind": "cyclic", "period": 24}
    # A date alone has no hours, three years have months, and one that does not split has an age.
    assert [line.name for line in role(days(ROWS), "born").features] == [
        "born_seconds", "born_day_of_week", "born_month",
    ]  # fmt: skip
    short = days(10)[NUMBERS % 10]
    assert "rows are split by it" in role(short, "at", splits=True).left_out


def test_clock_times_are_hours_and_minutes() -> None:
    found = role(NUMBERS % 24 * 100 + NUMBERS % 60, "dep_time")
    assert [dict(line.settings)["kind"] for line in found.derive] == [
        "hour_of_day", "minute_of_day",
    ]  # fmt: skip
    # 60 and more minutes: no clock
    assert role(NUMBERS + 1000, "x").derive == ()


def test_a_column_with_a_name_that_no_feature_can_have() -> None:
    found = role(RNG.normal(size=ROWS), "Größe (cm)")
    assert found.features[0].name == "Grosse_cm"
    assert dict(found.features[0].settings) == {"kind": "standardize", "column": "Größe (cm)"}
