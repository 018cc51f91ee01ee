"""Check the signs that a column is known only when the label is."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.propose.label import LabelProposal, propose_label
from headrace.propose.leaks import find_differences, find_null_together, measure_strengths
from headrace.propose.names import FeatureNames
from headrace.propose.roles import assign_role
from headrace.propose.sample import Sample
from tests.propose.tables import build_sample

ROWS = 2_000
RNG = np.random.default_rng(1)
NOISE = RNG.normal(0, 1, ROWS)
LABEL = RNG.normal(0, 10, ROWS)


def build_labelled_sample(columns: dict, label: object) -> tuple[Sample, LabelProposal]:
    sample = build_sample({**columns, "y": label})
    return sample, propose_label(sample.columns["y"])


def measure_alone(columns: dict, label: object) -> dict[str, float]:
    sample, label_proposal = build_labelled_sample(columns, label)
    names = FeatureNames(sample.columns)
    roles = [assign_role(sample.columns[name], names, ROWS) for name in columns]
    return measure_strengths(sample.columns, roles, label_proposal)


def test_a_copy_explains_all_and_noise_nothing() -> None:
    strengths = measure_alone({"copy": LABEL * 3 + 1, "noise": NOISE}, LABEL)
    assert strengths["copy"] > 0.99
    assert strengths["noise"] < 0.05


def test_of_conditions_and_classes_as_well() -> None:
    strengths = measure_alone({"score": LABEL + NOISE / 10, "noise": NOISE}, LABEL > 0)
    assert strengths["score"] > 0.99
    assert strengths["noise"] < 0.15
    classes = RNG.integers(0, 4, ROWS)
    texts = np.array(["a", "b", "c", "d"])
    strengths = measure_alone(
        {"twin": [f"is {n}" for n in classes], "noise": NOISE}, texts[classes]
    )
    assert strengths["twin"] == pytest.approx(1)
    assert strengths["noise"] < 0.1


def test_a_derived_column_may_leak_the_label() -> None:
    hours = RNG.permutation(ROWS)
    moments = np.datetime64("2024-01-01", "us") + hours * np.timedelta64(1, "h")
    strengths = measure_alone({"at": moments}, hours % 24 < 12)
    assert strengths["at_hour"] > 0.99
    assert strengths["at_day_of_week"] < 0.2


def test_too_few_rows_tell_nothing() -> None:
    assert measure_alone({"copy": LABEL[:50]}, LABEL[:50]) == {}


def test_columns_that_are_null_where_the_label_is() -> None:
    cancelled = np.arange(ROWS) % 20 == 0
    late = pa.array(NOISE, mask=cancelled)
    own = pa.array(NOISE, mask=np.arange(ROWS) % 7 == 0)
    sample, label = build_labelled_sample(
        {"late": late, "own": own, "a": NOISE, "b": NOISE}, pa.array(LABEL, mask=cancelled)
    )
    others = [column for name, column in sample.columns.items() if name != "y"]
    assert find_null_together(others, label) == {
        "late": "null in 100 of 100 sampled rows where y is, and in 0 others"
    }
    # Where most columns are null, rows are empty, and no column is late.
    assert find_null_together([sample.columns["late"]], label) == {}
    few, label = build_labelled_sample({"a": NOISE, "b": NOISE}, LABEL)
    assert find_null_together(list(few.columns.values()), label) == {}


def test_two_columns_that_differ_by_the_label() -> None:
    left = RNG.normal(0, 1000, ROWS)
    columns = {"left": left, "arrived": left + LABEL, "other": RNG.normal(0, 1000, ROWS)}
    sample, label = build_labelled_sample(columns, LABEL)
    others = [sample.columns[name] for name in columns]
    (name,) = found = find_differences(others, label)
    assert (name, found[name].other, found[name].is_exact) == ("arrived", "left", True)
    nearly = {**columns, "arrived": columns["arrived"] + NOISE}
    sample, label = build_labelled_sample(nearly, LABEL)
    found = find_differences([sample.columns[name] for name in columns], label)
    assert (list(found), found["arrived"].is_exact) == (["arrived"], False)
    sample, label = build_labelled_sample(columns, LABEL > 5)
    assert list(find_differences([sample.columns[name] for name in columns], label)) == ["arrived"]


def test_times_that_differ_by_it() -> None:
    ordered = np.datetime64("2024-01-01", "us") + RNG.integers(0, 10**9, ROWS) * np.timedelta64(
        1, "s"
    )
    delivered = ordered + (abs(LABEL) * 86_400).astype("timedelta64[s]")
    sample, label = build_labelled_sample({"ordered": ordered, "delivered": delivered}, abs(LABEL))
    others = [sample.columns[name] for name in ("ordered", "delivered")]
    assert list(find_differences(others, label)) == ["delivered"]


def test_a_column_that_is_strong_by_itself_is_not_blamed_on_another() -> None:
    sample, label = build_labelled_sample({"twin": LABEL, "noise": NOISE / 100}, LABEL)
    assert find_differences([sample.columns["twin"], sample.columns["noise"]], label) == {}
