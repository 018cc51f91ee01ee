"""Drift of scored rows and of their predictions from those of training."""

from typing import Any

import numpy as np
import pytest

from headrace.recipe import sections as s
from headrace.score.monitor import Reference, measure_drift
from headrace.score.task_results import TaskResults
from tests.models import specs

NUMBERS = {"name": "x", "edges": [0.0, 1.0, 2.0], "shown_edges": [0.0, 1.0, 2.0]}
WORDS = {"name": "w", "labels": ["missing", "unknown", "a"], "unknown": [1, 2]}
PREDICTIONS = {"name": "prediction", "edges": [0.0, 0.5, 1.0], "shown_edges": [0.0, 0.5, 1.0]}


def reference(**changes: Any) -> Reference:
    plain = {
        "axes": [NUMBERS, WORDS, {"name": "label", "labels": ["0", "1"]}],
        "counts": {"x": [500, 500], "w": [0, 10, 990], "label": [500, 500]},
        "unknown": {"w": 10},
        "predictions": {"axis": PREDICTIONS, "counts": [400, 600]},
    }
    return Reference.from_json(plain | changes)


def results(**counts: list[int]) -> TaskResults:
    """Return what was counted of 1,000 rows like those of training."""
    rows = {"x": [500, 500], "w": [0, 10, 990], "predictions": [400, 600]} | counts
    total = TaskResults()
    total.add_predictions(np.array(rows.pop("predictions")))
    for name, values in rows.items():
        total.add_counts(name, np.array(values))
    total.unknown["w"] = rows["w"][1]
    return total


def measure(reference: Reference, results: TaskResults, **changes: Any) -> dict[Any, float | None]:
    """Return the values that drifted, None for those that did not."""
    limits = s.Score.model_validate(changes)
    measured = measure_drift(reference, results, specs.BINARY, limits)
    return {(d.name, d.measure): d.value if d.has_drifted else None for d in measured}


def test_a_reference_has_no_label_and_may_have_no_predictions() -> None:
    parsed = reference()
    assert [axis.name for axis in parsed.axes] == ["x", "w"]
    assert parsed.axes[1].unknown == (1, 2)
    assert parsed.prediction_axis is not None
    assert parsed.prediction_axis.edges == (0.0, 0.5, 1.0)
    assert parsed.predictions is not None
    assert parsed.predictions.tolist() == [400, 600]
    for nothing in (None, {}):
        parsed = reference(predictions=nothing)
        assert (parsed.prediction_axis, parsed.predictions) == (None, None)


def test_rows_like_those_of_training_did_not_drift() -> None:
    assert measure(reference(), results()) == dict.fromkeys(
        [("x", "psi"), ("w", "l_infinity"), ("w", "unknown_share"), ("prediction", "psi")]
    )


def test_every_measure_has_its_own_limit() -> None:
    drifted = measure(reference(), results(w=[0, 200, 800]))
    # 20% of the values are out of the vocabulary, of those of training 1%
    assert drifted[("w", "unknown_share")] == pytest.approx(0.19)
    assert drifted[("w", "l_infinity")] == pytest.approx(0.19)
    limits = {"max_unknown": 0.5}
    assert measure(reference(), results(w=[0, 200, 800]), **limits)[("w", "unknown_share")] is None
    moved = measure(reference(), results(x=[900, 100]))
    # sum of (c - r) ln(c / r) over two bins, half a row added to each
    before, now = np.array([500.5, 500.5]) / 1001, np.array([900.5, 100.5]) / 1001
    expected = float(((now - before) * np.log(now / before)).sum())
    assert moved[("x", "psi")] == pytest.approx(expected)
    assert measure(reference(), results(x=[900, 100]), max_psi=2)[("x", "psi")] is None


def test_predictions_of_classes_are_labels_and_others_are_numbers() -> None:
    shifted = results(predictions=[600, 400])
    limits = s.Score()
    *_, number = measure_drift(reference(), shifted, specs.REGRESSION, limits)
    assert (number.name, number.measure) == ("prediction", "psi")
    *_, classes = measure_drift(reference(), shifted, specs.CLASSES, limits)
    assert (classes.measure, classes.value) == ("l_infinity", pytest.approx(0.2))
    no_reference = measure_drift(reference(predictions=None), shifted, specs.CLASSES, limits)
    assert {d.name for d in no_reference} == {"x", "w"}


def test_columns_without_counts_are_left_out() -> None:
    only_x = TaskResults()
    only_x.add_counts("x", np.array([1, 1]))
    assert set(measure(reference(), only_x)) == {("x", "psi")}
    assert measure(reference(counts={}), results()) == {("prediction", "psi"): None}
    assert measure(reference(), TaskResults()) == {}


def test_missing_values_are_measured_where_no_label_counts_them() -> None:
    with_missing = reference(missing={"x": 10, "w": 0, "gone": 0}, rows=1000)
    scored = results()
    scored.rows = 1000
    scored.missing.update({"x": 900, "w": 900, "new": 900})
    found = measure(with_missing, scored)
    assert found["x is missing", "l_infinity"] == pytest.approx(0.89)
    assert not {"w is missing", "gone is missing", "new is missing"} & {name for name, _ in found}
    # Models of an older Headrace have no such counts.
    assert not any("missing" in name for name, _ in measure(reference(), scored))


def test_what_is_missing_adds_up_over_tasks() -> None:
    one, other = TaskResults(rows=3), TaskResults(rows=4)
    one.missing.update({"x": 1})
    other.missing.update({"x": 2, "y": 0})
    one.add_bytes(other.to_bytes())
    assert (one.rows, one.missing) == (7, {"x": 3, "y": 0})
