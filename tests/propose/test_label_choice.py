"""Check which column is the label: named by the option, or most likely meant."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.propose.label import propose_label
from headrace.propose.label_choice import get_label_column, list_likely_labels
from headrace.propose.option_error import OptionError
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
        ("one", r"one = 'b' is true in 1 of 39 sampled rows \(2.6%\), which is too few"),
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


def test_likely_labels_are_named_like_ones_conditions_and_the_last_columns() -> None:
    rows = 60
    sample = build_sample(
        {
            "id": np.arange(rows) + 7,
            "churn": np.arange(rows) % 3,
            "city": [f"c{n % 7}" for n in range(rows)],
            "flag": np.arange(rows) % 2 == 0,
            "at": list_days(rows),
            "amount2": np.arange(rows) / 7,
        }
    )
    labels = list_likely_labels(sample.columns.values())
    assert [label.column for label in labels] == ["churn", "flag", "amount2"]
    # A column that is no label is none of them.
    assert list_likely_labels(build_sample({"a": ["x"] * 99 + ["y"]}).columns.values()) == []
