"""Check which column is the label: named by the option, or most likely meant."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import OptionError
from headrace.propose.label import propose_label
from headrace.propose.label_choice import get_label_column, list_likely_labels
from tests.propose.tables import build_sample, list_days


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("arr_dely", r"--label arr_dely: there is no such column; did you mean arr_delay\?"),
        ("none", "all 40 sampled values are null"),
        ("same", "all 40 sampled values that are not null are 'a'; there is nothing to learn"),
        ("at", "is a time, which cannot be a label"),
        ("list", "label.kind: multi_label"),
        ("bytes", "cannot be a label; it is bytes"),
        ("one", r"one = 'b' is true in 1 of 39 sampled rows \(2.56%\), which is too few"),
        ("nearly", "nearly all values are 'a'; 3 other values occur in 3 of 2,000 sampled rows"),
    ],
)
def test_columns_that_are_no_label(name: str, message: str) -> None:
    columns = {
        "arr_delay": list(range(40)),
        "none": pa.nulls(40, pa.int64()),
        "same": ["a"] * 40,
        "at": list_days(40),
        "list": [[1]] * 40,
        "one": ["a"] * 38 + ["b", None],
    }
    if name == "nearly":
        columns = {"nearly": ["a"] * 1997 + ["b", "c", "d"]}
    sample = build_sample(columns)
    with pytest.raises(OptionError, match=message):
        propose_label(get_label_column(name, sample.columns, {"bytes": "bytes"}))


ROWS = 60
NUMBERS = np.arange(ROWS)
RNG = np.random.default_rng(2)


def list_choices(columns: dict) -> list[str]:
    sample = build_sample(columns)
    return [label.column for label in list_likely_labels(sample.columns.values(), ROWS)]


def test_likely_labels_are_named_like_ones_conditions_and_the_last_columns() -> None:
    columns = {
        "id": NUMBERS + 7,
        "churn": NUMBERS % 3,
        "city": [f"c{n % 7}" for n in NUMBERS],
        "flag": NUMBERS % 2 == 0,
        "at": list_days(ROWS),
        "amount2": NUMBERS / 7,
    }
    assert list_choices(columns) == ["churn", "amount2", "flag"]
    # A column that is no label is none of them.
    assert list_choices({"a": ["x"] * 59 + ["y"]}) == []


MEASURED = {f"length {n}": RNG.normal(size=ROWS) for n in range(4)}
SPECIES = [f"s{n % 3}" for n in NUMBERS]


@pytest.mark.parametrize(
    ("columns", "label"),
    [
        ({**MEASURED, "species": SPECIES}, "species"),
        ({"species": SPECIES, "island": [f"i{n % 5}" for n in NUMBERS], **MEASURED}, "species"),
        ({**MEASURED, "target": NUMBERS % 3}, "target"),
        ({"target": NUMBERS % 3, **MEASURED}, "target"),
        ({"y": NUMBERS % 7 / 7, **MEASURED}, "y"),
        ({**MEASURED, "Class": SPECIES, "sex": NUMBERS % 2}, "Class"),
        ({"passenger": NUMBERS, "survived": NUMBERS % 2, **MEASURED}, "survived"),
        ({**MEASURED, "is_fraud": NUMBERS % 2 == 0, "country": SPECIES}, "is_fraud"),
        ({**MEASURED, "quality": NUMBERS % 6}, "quality"),
        ({**MEASURED, "digit": NUMBERS % 10}, "digit"),
        ({**MEASURED, "x": NUMBERS % 2 == 0}, "x"),
        ({"sex": NUMBERS % 2, **MEASURED, "price": RNG.normal(size=ROWS)}, "price"),
        ({**MEASURED, "diagnosis": [f"{'MB'[n % 2]}" for n in NUMBERS]}, "diagnosis"),
    ],
)
def test_the_label_that_people_mean_is_offered_first(columns: dict, label: str) -> None:
    assert list_choices(columns)[0] == label


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("target", np.zeros(ROWS)),
        ("label", ["a"] * ROWS),
        ("class", [f"text {n}" for n in NUMBERS]),
        ("y", NUMBERS),  # numbers the rows
        ("target", pa.nulls(ROWS, pa.int64())),
    ],
)
def test_constants_keys_and_row_numbers_are_never_offered(name: str, values: object) -> None:
    assert name not in list_choices({name: values, **MEASURED})
