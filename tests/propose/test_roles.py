"""Check the features of a column, by its type and values, and why some are left out."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.propose.names import FeatureNames
from headrace.propose.roles import Role, assign_role
from tests.propose.tables import build_sample, list_days

ROWS = 1_000
RNG = np.random.default_rng(4)
NUMBERS = np.arange(ROWS)


def assign_role_to(values: object, name: str = "x", **options: bool) -> Role:
    sample = build_sample({name: values})
    return assign_role(sample.columns[name], FeatureNames([name]), ROWS, **options)


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
    role = assign_role_to(values)
    expected = {key: value for key, value in settings.items() if (key, value) != ("min_count", 1)}
    assert [(line.name, dict(line.settings)) for line in role.features] == [("x", expected)], why


def test_numbers_that_are_names_are_hashed() -> None:
    assert assign_role_to(NUMBERS % 500, "zip_code").features[0].settings["kind"] == "hash"


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("x", np.full(ROWS, 7), "7 in all 1,000 sampled rows"),
        ("x", pa.nulls(ROWS, pa.int64()), "null in all 1,000 sampled rows"),
        ("x", pa.array(NUMBERS, mask=NUMBERS > 4), "null in 995 of 1,000 sampled rows"),
        ("x", NUMBERS, "numbers the rows"),
        ("order_id", NUMBERS * 3 + 17, "a key: 1,000 different values in 1,000 sampled rows"),
        ("x", [f"N{n}" for n in NUMBERS], "a key: 1,000 different values in 1,000 sampled rows"),
        ("x", [[]] * ROWS, "lists that are empty"),
    ],
)
def test_columns_that_are_left_out_with_the_reason(name: str, values: object, why: str) -> None:
    role = assign_role_to(values, name)
    assert (role.features, role.exclusion_reason) == ((), why)


def test_parts_of_times() -> None:
    hours = np.datetime64("2024-01-01", "us") + NUMBERS * np.timedelta64(1, "h")
    role = assign_role_to(hours, "at", splits_rows=True)
    assert [line.name for line in role.features] == ["at_hour", "at_day_of_week"]
    assert dict(role.derive[0].settings) == {
        "kind": "time_part", "part": "hour", "columns": ["at"]
    }  # fmt: skip
    assert dict(role.features[0].settings) == {"kind": "cyclic", "period": 24}
    # A date alone has no hours, three years have months, and one that does not split has an age.
    assert [line.name for line in assign_role_to(list_days(ROWS), "born").features] == [
        "born_seconds", "born_day_of_week", "born_month",
    ]  # fmt: skip
    short = list_days(10)[NUMBERS % 10]
    assert "rows are split by it" in assign_role_to(short, "at", splits_rows=True).exclusion_reason


def test_clock_times_are_hours_and_minutes() -> None:
    role = assign_role_to(NUMBERS % 24 * 100 + NUMBERS % 60, "dep_time")
    assert [dict(line.settings)["kind"] for line in role.derive] == [
        "hour_of_day", "minute_of_day",
    ]  # fmt: skip
    # 60 and more minutes: no clock
    assert assign_role_to(NUMBERS + 1000, "x").derive == ()


def test_a_column_with_a_name_that_no_feature_can_have() -> None:
    role = assign_role_to(RNG.normal(size=ROWS), "Größe (cm)")
    assert role.features[0].name == "Grosse_cm"
    assert dict(role.features[0].settings) == {"kind": "standardize", "column": "Größe (cm)"}
