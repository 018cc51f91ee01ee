"""Check that the label's copies and results are found, and that good features are none."""

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats  # noqa: F401 - imported where it is used, which would be within a deadline here
from hypothesis import given
from hypothesis import strategies as st

from headrace.propose.label import propose_label
from headrace.propose.label_copies import find_copies, find_named_results
from tests.propose.tables import build_sample

ROWS = 400
RNG = np.random.default_rng(7)
NUMBERS = RNG.normal(20, 5, ROWS)
FLAGS = RNG.random(ROWS) < 0.3
CLASSES = np.array(["a", "b", "c"])[RNG.integers(0, 3, ROWS)]


def find_for(column: object, label: object, name: str = "x") -> dict[str, str]:
    sample = build_sample({name: column, "y": label})
    return find_copies([sample.columns[name]], propose_label(sample.columns["y"]), ROWS)


@pytest.mark.parametrize(
    ("column", "label", "reason"),
    [
        (NUMBERS * 1.8 + 32, NUMBERS, "rises with y in all sampled rows: a copy of it"),
        (-np.exp(NUMBERS), NUMBERS, "falls with y in all sampled rows"),
        (np.round(NUMBERS, 2), NUMBERS, "rises with y"),
        (FLAGS, FLAGS, "each of its 2 values occurs with one value of y alone"),
        (np.where(FLAGS, "yes", "no"), FLAGS, "each of its 2 values"),
        (np.where(FLAGS, NUMBERS, 0.0), FLAGS, "0.0 in all"),
        (pa.array(NUMBERS, mask=FLAGS), FLAGS, "null in all"),
        ([f"is {c}" for c in CLASSES], CLASSES, "each of its 3 values"),
        (np.searchsorted(["a", "b", "c"], CLASSES), CLASSES, "each of its 3 values"),
    ],
)
def test_copies(column: object, label: object, reason: str) -> None:
    assert find_for(column, label)["x"].startswith(reason)


@pytest.mark.parametrize(
    ("column", "label", "why"),
    [
        (NUMBERS + RNG.normal(0, 0.5, ROWS), NUMBERS, "a very good feature"),
        (np.round(NUMBERS / 10), NUMBERS, "only a few values of it"),
        (FLAGS + RNG.normal(0, 0.01, ROWS), FLAGS, "a measurement that tells the classes apart"),
        (FLAGS ^ (np.arange(ROWS) == 5), FLAGS, "one exception"),
        (np.arange(ROWS) < 3, np.arange(ROWS) < 3, "a chance of three rows"),
        ([f"{c}{n % 2}" for n, c in enumerate(CLASSES)], CLASSES, "finer than the classes"),
    ],
)
def test_good_features_are_no_copies(column: object, label: object, why: str) -> None:
    assert find_for(column, label) == {}, why


def test_what_grows_with_the_years_is_no_copy_of_the_year() -> None:
    assert find_for(1950 + np.arange(70), np.arange(70) ** 1.5, "year") == {}


@given(seed=st.integers(0, 10**6), rows=st.integers(50, 300))
def test_independent_columns_are_no_copies(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    columns = {
        "real": rng.normal(size=rows), "whole": rng.integers(0, 5, rows),
        "text": rng.choice(["a", "b"], rows), "flag": rng.random(rows) < 0.5,
    }  # fmt: skip
    for label in (rng.normal(size=rows), rng.random(rows) < 0.5, rng.integers(0, 3, rows)):
        sample = build_sample({**columns, "y": label})
        features = [sample.columns[name] for name in columns]
        assert find_copies(features, propose_label(sample.columns["y"]), rows) == {}


def test_names_of_results_are_believed_where_the_values_agree() -> None:
    columns = {
        "churn_reason": ["a"] * ROWS, "churn date": ["b"] * ROWS, "predicted_churned": NUMBERS,
        "churn_risk_region": NUMBERS, "date": NUMBERS, "reason": NUMBERS,
    }  # fmt: skip
    sample = build_sample({**columns, "churned": FLAGS})
    label = propose_label(sample.columns["churned"])
    features = [sample.columns[name] for name in columns]
    strengths = dict.fromkeys(columns, 0.7)
    found = find_named_results(features, label, strengths, {})
    assert list(found) == ["churn_reason", "churn date", "predicted_churned"]
    assert found["churn_reason"] == "named as a result of churned, of which it explains 70%"
    assert find_named_results(features, label, dict.fromkeys(columns, 0.2), {}) == {}


def test_of_columns_that_are_null_with_the_label_those_that_share_its_name() -> None:
    columns = {"arr_time": NUMBERS, "dep_time": NUMBERS, "dep_delay": NUMBERS}
    sample = build_sample({**columns, "arr_delay": NUMBERS})
    label = propose_label(sample.columns["arr_delay"])
    null_together = dict.fromkeys(columns, "null together")
    features = [sample.columns[name] for name in columns]
    assert list(find_named_results(features, label, {}, null_together)) == ["arr_time"]
