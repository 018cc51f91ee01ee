"""Signs that a column is known only when the label is."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.propose.label import LabelProposal, propose_label
from headrace.propose.leaks import differences, null_together, says_alone
from headrace.propose.names import Names
from headrace.propose.roles import role_of
from headrace.propose.sample import Sample
from tests.propose.tables import sample_of

ROWS = 2_000
RNG = np.random.default_rng(1)
NOISE = RNG.normal(0, 1, ROWS)
LABEL = RNG.normal(0, 10, ROWS)


def with_label(columns: dict, label: object) -> tuple[Sample, LabelProposal]:
    sample = sample_of({**columns, "y": label})
    return sample, propose_label(sample.columns["y"])


def alone(columns: dict, label: object) -> dict[str, float]:
    sample, found = with_label(columns, label)
    names = Names(sample.columns)
    roles = [role_of(sample.columns[name], names, ROWS) for name in columns]
    return says_alone(sample.columns, roles, found)


def test_a_copy_says_all_and_noise_nothing() -> None:
    found = alone({"copy": LABEL * 3 + 1, "noise": NOISE}, LABEL)
    assert found["copy"] > 0.99
    assert found["noise"] < 0.05


def test_of_conditions_and_classes_as_well() -> None:
    found = alone({"score": LABEL + NOISE / 10, "noise": NOISE}, LABEL > 0)
    assert found["score"] > 0.99
    assert found["noise"] < 0.15
    classes = RNG.integers(0, 4, ROWS)
    texts = np.array(["a", "b", "c", "d"])
    found = alone({"twin": [f"is {n}" for n in classes], "noise": NOISE}, texts[classes])
    assert found["twin"] == pytest.approx(1)
    assert found["noise"] < 0.1


def test_a_derived_column_may_say_it() -> None:
    hours = RNG.permutation(ROWS)
    moments = np.datetime64("2024-01-01", "us") + hours * np.timedelta64(1, "h")
    found = alone({"at": moments}, hours % 24 < 12)
    assert found["at_hour"] > 0.99
    assert found["at_day_of_week"] < 0.2


def test_too_few_rows_say_nothing() -> None:
    assert alone({"copy": LABEL[:50]}, LABEL[:50]) == {}


def test_columns_that_are_null_where_the_label_is() -> None:
    cancelled = np.arange(ROWS) % 20 == 0
    late = pa.array(NOISE, mask=cancelled)
    own = pa.array(NOISE, mask=np.arange(ROWS) % 7 == 0)
    sample, label = with_label(
        {"late": late, "own": own, "a": NOISE, "b": NOISE}, pa.array(LABEL, mask=cancelled)
    )
    others = [column for name, column in sample.columns.items() if name != "y"]
    assert null_together(others, label) == {
        "late": "null in 100 of 100 sampled rows where y is, and in 0 others"
    }
    # Where most columns are null, rows are empty, and no column is late.
    assert null_together([sample.columns["late"]], label) == {}
    few, label = with_label({"a": NOISE, "b": NOISE}, LABEL)
    assert null_together(list(few.columns.values()), label) == {}


def test_two_columns_that_differ_by_the_label() -> None:
    left = RNG.normal(0, 1000, ROWS)
    columns = {"left": left, "arrived": left + LABEL, "other": RNG.normal(0, 1000, ROWS)}
    sample, label = with_label(columns, LABEL)
    others = [sample.columns[name] for name in columns]
    assert differences(others, label) == {"arrived": "minus left it says 100% of y in the sample"}
    sample, label = with_label(columns, LABEL > 5)
    assert list(differences([sample.columns[name] for name in columns], label)) == ["arrived"]


def test_times_that_differ_by_it() -> None:
    ordered = np.datetime64("2024-01-01", "us") + RNG.integers(0, 10**9, ROWS) * np.timedelta64(
        1, "s"
    )
    delivered = ordered + (abs(LABEL) * 86_400).astype("timedelta64[s]")
    sample, label = with_label({"ordered": ordered, "delivered": delivered}, abs(LABEL))
    others = [sample.columns[name] for name in ("ordered", "delivered")]
    assert list(differences(others, label)) == ["delivered"]


def test_a_column_that_is_strong_by_itself_is_not_blamed_on_another() -> None:
    sample, label = with_label({"twin": LABEL, "noise": NOISE / 100}, LABEL)
    assert differences([sample.columns["twin"], sample.columns["noise"]], label) == {}
