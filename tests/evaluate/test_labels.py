"""Metrics of several labels a row: by hand, and against scikit-learn."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from headrace.errors import ModelError
from headrace.evaluate.metrics import BinaryScorer, scorer_of
from headrace.evaluate.multi_label_metrics import LabelsScorer
from headrace.transform.spec import LabelSpec

EXACT = pytest.approx
SPEC = LabelSpec(kind="multi_label", classes=("fog", "rain", "snow"))
# fog, rain and snow of four rows; at 0.5 row 1 names rain in vain, row 3 misses fog.
TRUTH = np.array([[0, 1, 0], [0, 0, 0], [1, 1, 0], [1, 0, 0]], np.float32)
PROBABILITIES = np.array(
    [[0.2, 0.9, 0.1], [0.1, 0.5, 0.1], [0.8, 0.7, 0.3], [0.4, 0.2, 0.0]], np.float32
)


def scorer() -> LabelsScorer:
    found = scorer_of({"label": TRUTH, "probabilities": PROBABILITIES}, SPEC, 0.5)
    assert isinstance(found, LabelsScorer)
    return found


def test_by_hand() -> None:
    found = scorer()(np.ones(4))
    assert scorer().counts() == {"rows": 4, "positives": 4}
    assert found["exact_match"] == EXACT(2 / 4)
    assert found["hamming_loss"] == EXACT(2 / 12)
    # fog: 1 of 1 named, 1 of 2 found; rain: 2 of 3, 2 of 2; snow is neither named nor there
    assert found["precision_macro"] == EXACT((1 + 2 / 3 + 0) / 3)
    assert found["recall_macro"] == EXACT((1 / 2 + 1 + 0) / 3)
    assert found["precision_micro"] == EXACT(3 / 4)
    assert found["recall_micro"] == EXACT(3 / 4)
    assert found["f1_weighted"] == EXACT((2 / 3 * 2 + 4 / 5 * 2) / 4)
    # both orders are without a fault; snow has no curve
    assert found["roc_auc_macro"] == 1
    right = [0.8, 0.9, 0.9, 0.9, 0.5, 0.9, 0.8, 0.7, 0.7, 0.4, 0.8, 1.0]
    assert found["log_loss"] == EXACT(-np.mean(np.log(right)), abs=1e-7)
    assert found["brier"] == EXACT(np.mean((1 - np.array(right)) ** 2), abs=1e-7)


def test_each_label_the_worst_first() -> None:
    table = scorer().of_labels(np.ones(4), SPEC.classes)
    assert [row["label"] for row in table] == ["snow", "fog", "rain"]
    snow, fog, rain = table
    assert "roc_auc" not in snow
    assert snow["rows"] == 0
    assert (fog["rows"], fog["precision"], fog["recall"]) == (2, 1, 0.5)
    assert (rain["rows"], rain["roc_auc"], rain["pr_auc"]) == (2, 1, 1)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    rows, labels = draw(st.integers(1, 40)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = (rng.random((rows, labels)) < rng.random(labels)).astype(np.float32)
    probabilities = rng.random((rows, labels)).astype(np.float32)
    if draw(st.booleans()):
        probabilities = np.round(probabilities, 1)  # many are equal
    weight = rng.integers(0, 4, rows) / 2 if draw(st.booleans()) else np.ones(rows)
    if not weight.sum():
        weight[0] = 1.0
    return truth, probabilities, weight, draw(st.sampled_from([0.5, 0.2, 0.9]))


@given(cases())
@settings(max_examples=150, deadline=None)
def test_equal_to_scikit_learn(case: tuple[np.ndarray, np.ndarray, np.ndarray, float]) -> None:
    truth, probabilities, weight, threshold = case
    found = LabelsScorer(truth, probabilities, threshold)(weight)
    exact = probabilities.astype(np.float64)
    named = (exact >= threshold).astype(int)
    expected = {
        "exact_match": sk.accuracy_score(truth, named, sample_weight=weight),
        "hamming_loss": sk.hamming_loss(truth, named, sample_weight=weight),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for average in ("macro", "micro", "weighted"):
            values = sk.precision_recall_fscore_support(
                truth, named, average=average, sample_weight=weight, zero_division=0
            )
            names = (f"{name}_{average}" for name in ("precision", "recall", "f1"))
            expected |= dict(zip(names, values, strict=False))
    columns = [(truth[:, i], exact[:, i]) for i in range(truth.shape[1])]
    expected["log_loss"] = np.mean(
        [sk.log_loss(t, p, sample_weight=weight, labels=[0, 1]) for t, p in columns]
    )
    expected["brier"] = np.mean([weight @ (p - t) ** 2 / weight.sum() for t, p in columns])
    both = [pair for pair in columns if 0 < weight @ pair[0] < weight.sum()]
    if both:
        options = {"sample_weight": weight}
        areas = [sk.roc_auc_score(*pair, **options) for pair in both]
        expected["roc_auc_macro"] = np.mean(areas)
        pr_areas = [sk.average_precision_score(*pair, **options) for pair in both]
        expected["pr_auc_macro"] = np.mean(pr_areas)
    flat = truth.reshape(-1), exact.reshape(-1)
    repeated = np.repeat(weight, truth.shape[1])
    if 0 < repeated @ flat[0] < repeated.sum():
        expected["roc_auc_micro"] = sk.roc_auc_score(*flat, sample_weight=repeated)
        expected["pr_auc_micro"] = sk.average_precision_score(*flat, sample_weight=repeated)
    calibration = BinaryScorer(*flat, threshold)(repeated)["calibration_error"]
    assert found.pop("calibration_error") == EXACT(calibration, abs=1e-12)
    assert found == EXACT(expected, rel=0, abs=1e-9)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"label": TRUTH, "probabilities": PROBABILITIES * np.nan}, "4 of 4 predictions are not"),
        ({"label": TRUTH[:0], "probabilities": PROBABILITIES[:0]}, "no rows to evaluate on"),
    ],
)
def test_what_cannot_be_judged_is_refused(rows: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        scorer_of(rows, SPEC, 0.5)
