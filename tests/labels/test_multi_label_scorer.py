"""Metrics of several labels per row: by hand, and compared with scikit-learn."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from headrace.errors import ModelError
from headrace.labels.binary import BinaryScorer
from headrace.labels.multi_label_scorer import (
    MultiLabelScorer,
    choose_row_step,
    flatten_rows,
)
from headrace.labels.spec import LabelSpec

SPEC = LabelSpec(kind="multi_label", classes=("fog", "rain", "snow"))
# fog, rain and snow of four rows; at 0.5 row 1 wrongly gets rain, and row 3 misses fog.
TRUTH = np.array([[0, 1, 0], [0, 0, 0], [1, 1, 0], [1, 0, 0]], np.float32)
PROBABILITIES = np.array(
    [[0.2, 0.9, 0.1], [0.1, 0.5, 0.1], [0.8, 0.7, 0.3], [0.4, 0.2, 0.0]], np.float32
)


def make_scorer() -> MultiLabelScorer:
    return MultiLabelScorer(TRUTH, PROBABILITIES, 0.5)


def test_metrics_by_hand() -> None:
    metrics = make_scorer()(np.ones(4))
    assert make_scorer().count_outcomes() == {"rows": 4, "positives": 4}
    assert metrics["exact_match"] == pytest.approx(2 / 4)
    assert metrics["hamming_loss"] == pytest.approx(2 / 12)
    # fog: precision 1 of 1, recall 1 of 2; rain: 2 of 3, 2 of 2; snow is neither predicted nor true
    assert metrics["precision_macro"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert metrics["recall_macro"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert metrics["precision_micro"] == pytest.approx(3 / 4)
    assert metrics["recall_micro"] == pytest.approx(3 / 4)
    assert metrics["f1_weighted"] == pytest.approx((2 / 3 * 2 + 4 / 5 * 2) / 4)
    # fog and rain are sorted without a mistake; snow has no curve
    assert metrics["roc_auc_macro"] == 1
    true_probability = [0.8, 0.9, 0.9, 0.9, 0.5, 0.9, 0.8, 0.7, 0.7, 0.4, 0.8, 1.0]
    assert metrics["log_loss"] == pytest.approx(-np.mean(np.log(true_probability)), abs=1e-7)
    assert metrics["brier"] == pytest.approx(
        np.mean((1 - np.array(true_probability)) ** 2), abs=1e-7
    )


def test_each_label_the_worst_first() -> None:
    table = make_scorer().describe_labels(np.ones(4), SPEC.classes)
    assert [row["label"] for row in table] == ["snow", "fog", "rain"]
    snow, fog, rain = table
    assert "roc_auc" not in snow
    assert snow["rows"] == 0
    assert (fog["rows"], fog["precision"], fog["recall"]) == (2, 1, 0.5)
    assert (rain["rows"], rain["roc_auc"], rain["pr_auc"]) == (2, 1, 1)


def test_several_labels_as_one_binary_label() -> None:
    flat = flatten_rows({"label": TRUTH[:2], "probabilities": PROBABILITIES[:2]})
    assert flat["label"].tolist() == [0, 1, 0, 0, 0, 0]
    assert flat["probability"] == pytest.approx([0.2, 0.9, 0.1, 0.1, 0.5, 0.1])


def test_very_many_rows_are_sampled() -> None:
    label = np.zeros((5, 2_000_001), np.int8)
    assert choose_row_step(label) == 3
    assert choose_row_step(TRUTH) == 1
    flat = flatten_rows({"label": label, "probabilities": label})
    assert len(flat["label"]) == 2 * 2_000_001  # rows 0 and 3


@st.composite
def draw_rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
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


@given(draw_rows())
@settings(max_examples=150, deadline=None)
def test_metrics_equal_those_of_scikit_learn(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray, float],
) -> None:
    truth, probabilities, weight, threshold = rows
    metrics = MultiLabelScorer(truth, probabilities, threshold)(weight)
    exact = probabilities.astype(np.float64)
    predicted = (exact >= threshold).astype(int)
    expected = {
        "exact_match": sk.accuracy_score(truth, predicted, sample_weight=weight),
        "hamming_loss": sk.hamming_loss(truth, predicted, sample_weight=weight),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for average in ("macro", "micro", "weighted"):
            values = sk.precision_recall_fscore_support(
                truth, predicted, average=average, sample_weight=weight, zero_division=0
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
    assert metrics.pop("calibration_error") == pytest.approx(calibration, abs=1e-12)
    assert metrics == pytest.approx(expected, rel=0, abs=1e-9)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"label": TRUTH, "probabilities": PROBABILITIES * np.nan}, "4 of 4 predictions are not"),
        ({"label": TRUTH[:0], "probabilities": PROBABILITIES[:0]}, "no rows to evaluate on"),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused(
    rows: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        SPEC.definition.make_scorer(rows, SPEC, 0.5)
