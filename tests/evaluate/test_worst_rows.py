"""The worst rows are those of the highest loss, of every kind of label."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.evaluate.worst_rows import find_worst_rows, format_values
from headrace.labels.spec import LabelSpec


def test_a_condition() -> None:
    rows = {
        "label": np.array([1, 0, 1, 0], np.float32),
        "probability": np.array([0.9, 0.8, 0.1, 0.2], np.float32),
    }
    worst = find_worst_rows(rows, LabelSpec(), ("not late", "late"), 2)
    assert worst.positions == [2, 1]
    assert worst.truths == ["late", "not late"]
    assert worst.predictions == ["late: 10%", "late: 80%"]
    assert np.round(worst.losses, 3).tolist() == [2.303, 1.609]


def test_classes_labels_and_numbers() -> None:
    classes = LabelSpec(kind="classes", classes=("a", "b"))
    rows = {"label": np.array([0, 1]), "probabilities": np.array([[0.25, 0.75], [0.1, 0.9]])}
    worst = find_worst_rows(rows, classes, classes.classes, 1)
    assert (worst.positions, worst.truths, worst.predictions) == ([0], ["a"], ["b (75%)"])
    labels = LabelSpec(kind="multi_label", classes=("fog", "rain"))
    rows = {"label": np.array([[0, 0], [1, 1]]), "probabilities": np.array([[0.5, 0.9], [1, 0.5]])}
    worst = find_worst_rows(rows, labels, (), 1)
    assert (worst.truths, worst.predictions) == (["none"], ["rain (90%), fog (50%)"])
    number = LabelSpec(kind="regression", center=10.0, scale=2.0)
    rows = {"label": np.array([0.0, 1.0]), "value": np.array([0.5, -1.0])}
    worst = find_worst_rows(rows, number, (), 5)
    assert worst.positions == [1, 0]
    assert worst.losses == [4.0, 1.0]  # in the unit of the label
    assert (worst.truths[0], worst.predictions[0]) == ("12", "8")


def test_rows_without_weight_or_a_finite_loss_are_left_out() -> None:
    number = LabelSpec(kind="regression")
    rows = {
        "label": np.array([0.0, 0.0, 0.0]),
        "value": np.array([5.0, np.nan, 1.0]),
        "sample_weight": np.array([0.0, 1.0, 1.0]),
    }
    assert find_worst_rows(rows, number, (), 3).positions == [2]


@settings(deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40), st.integers(0, 50))
def test_it_is_what_a_full_sort_finds(values: list[int], most: int) -> None:
    number = LabelSpec(kind="regression")
    rows = {"label": np.zeros(len(values)), "value": np.array(values, float)}
    order = sorted(range(len(values)), key=lambda n: (-abs(values[n]), n))
    assert find_worst_rows(rows, number, (), most).positions == order[:most]


def test_values_are_texts() -> None:
    assert format_values(pa.array([1, None, 20_000_000])) == ["1", None, "20000000"]
    assert format_values(pa.array([0.1, 1e-9])) == ["0.1", "1e-9"]
    assert format_values(pa.array(["a", None])) == ["a", None]
