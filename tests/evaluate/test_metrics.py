"""Metrics by the label's kind: against values worked out by hand, and against scikit-learn."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from headrace.errors import ModelError
from headrace.evaluate.metrics import (
    BinaryScorer,
    ClassesScorer,
    RegressionScorer,
    scorer_of,
)
from headrace.models.reference import in_own_unit
from headrace.transform.spec import LabelSpec

LABEL = np.array([1, 1, 1, 0, 0, 0, 0, 0], np.float32)
PROBABILITY = np.array([0.9, 0.6, 0.2, 0.7, 0.5, 0.4, 0.3, 0.1], np.float32)
EXACT = pytest.approx


def test_binary_by_hand() -> None:
    scorer = BinaryScorer(LABEL, PROBABILITY, threshold=0.5)
    counts, found = scorer.counts(), scorer(np.ones(8))
    assert (counts["true_positives"], counts["false_positives"]) == (2, 2)  # 0.5 is positive
    assert (counts["true_negatives"], counts["false_negatives"]) == (3, 1)
    assert (counts["rows"], counts["positives"]) == (8, 3)
    assert found["accuracy"] == EXACT(5 / 8)
    assert found["precision"] == EXACT(2 / 4)
    assert found["recall"] == EXACT(2 / 3)
    assert found["f1"] == EXACT(2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))
    # of 15 pairs (positive, negative) the positive is above in 5 + 4 + 1
    assert found["roc_auc"] == EXACT(10 / 15)
    # average precision: recall grows at ranks 1, 3 and 7
    assert found["pr_auc"] == EXACT((1 / 1 + 2 / 3 + 3 / 7) / 3)
    p = [0.9, 0.6, 0.2, 0.3, 0.5, 0.6, 0.7, 0.9]  # of the label that is true
    assert found["log_loss"] == EXACT(-np.mean(np.log(p)), abs=1e-7)
    assert found["brier"] == EXACT(np.mean((1 - np.array(p)) ** 2), abs=1e-7)


def test_calibration_error_by_hand() -> None:
    label, probability = np.array([0, 0, 1, 1]), np.array([0.1, 0.1, 0.62, 0.62])
    # two bins of half the rows: 0.1 is off by 0.1, 0.62 by 0.38
    found = BinaryScorer(label, probability, 0.5)(np.ones(4))
    assert found["calibration_error"] == EXACT(0.5 * 0.1 + 0.5 * 0.38)


def test_one_class_alone_has_no_curves() -> None:
    found = BinaryScorer(np.zeros(3), np.array([0.1, 0.2, 0.3]), 0.5)(np.ones(3))
    assert "roc_auc" not in found
    assert found["accuracy"] == 1.0


# Four classes, of which "d" occurs nowhere. Predictions are 0, 0, 1, 1, 0, 2.
TRUTH = np.array([0, 0, 0, 1, 1, 2], np.int32)
PROBABILITIES = np.array(
    [
        [0.7, 0.1, 0.1, 0.1],
        [0.4, 0.3, 0.2, 0.1],
        [0.2, 0.5, 0.2, 0.1],
        [0.1, 0.8, 0.1, 0.0],
        [0.6, 0.2, 0.1, 0.1],
        [0.0, 0.0, 1.0, 0.0],
    ],
    np.float32,
)


def test_classes_by_hand() -> None:
    scorer = ClassesScorer(TRUTH, PROBABILITIES)
    found = scorer(np.ones(6))
    assert scorer.counts() == {"rows": 6}
    assert found["accuracy"] == EXACT(4 / 6)
    assert found["precision_macro"] == EXACT((2 / 3 + 1 / 2 + 1) / 3)
    assert found["recall_macro"] == EXACT((2 / 3 + 1 / 2 + 1) / 3)
    # precision and recall are equal a class, so f1 is too
    assert found["f1_macro"] == EXACT((2 / 3 + 1 / 2 + 1) / 3)
    assert found["f1_micro"] == EXACT(4 / 6)
    right = [0.7, 0.4, 0.2, 0.8, 0.2, 1.0]
    assert found["log_loss"] == EXACT(-np.mean(np.log(right)), abs=1e-7)
    # the third row's class shares the second place with a later one, the fifth row's is second
    assert found["top_2"] == EXACT(5 / 6)
    assert found["top_3"] == EXACT(6 / 6)
    assert "top_5" not in found


def test_a_class_that_was_never_predicted_has_precision_0() -> None:
    found = ClassesScorer(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]]))(np.ones(2))
    assert found["precision_macro"] == EXACT((1 / 2 + 0) / 2)
    assert found["recall_macro"] == EXACT((1 + 0) / 2)
    assert found["f1_macro"] == EXACT((2 / 3 + 0) / 2)


def test_regression_by_hand() -> None:
    truth = np.array([1.0, 2.0, 3.0, 6.0])
    predicted = np.array([2.0, 2.0, 1.0, 6.0])
    scorer = RegressionScorer(truth, predicted, np.array([1.0, 4.0, 3.0, 2.0], np.float32))
    found = scorer(np.ones(4))
    assert found["mse"] == EXACT((1 + 0 + 4 + 0) / 4)
    assert found["half_mse"] == EXACT((1 + 0 + 4 + 0) / 8)
    assert found["rmse"] == EXACT(np.sqrt(5 / 4))
    assert found["mae"] == EXACT(3 / 4)
    assert found["bias"] == EXACT((1 - 2) / 4)
    assert found["mape"] == EXACT((1 + 2 / 3) / 4)
    assert found["median_absolute_error"] == EXACT((0 + 1) / 2)
    assert (found["absolute_error_p90"], found["largest_error"]) == (2, 2)
    assert found["r2"] == EXACT(1 - 5 / (4 + 1 + 0 + 9))
    assert found["baseline_mae"] == EXACT((0 + 2 + 0 + 4) / 4)
    assert found["baseline_rmse"] == EXACT(np.sqrt((4 + 16) / 4))
    assert found["mae_over_baseline"] == EXACT(3 / 6)


def test_labels_that_are_all_the_same_have_no_r2() -> None:
    found = RegressionScorer(np.full(3, 2.0), np.array([1.0, 2.0, 3.0]))(np.ones(3))
    assert "r2" not in found
    assert found["mae"] == EXACT(2 / 3)


def test_a_regression_is_judged_in_its_own_unit() -> None:
    label = LabelSpec(kind="regression", center=10.0, scale=2.0)
    found = {"label": np.array([0.0, 1.0], np.float32), "value": np.array([0.5, 1.0], np.float32)}
    assert in_own_unit(found["label"], label).tolist() == [10.0, 12.0]
    assert scorer_of(found, label, 0.5)(np.ones(2))["mae"] == EXACT(0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_predictions_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ModelError, match="1 of 3 predictions are not finite"):
        BinaryScorer(np.array([0, 1, 1]), np.array([0.1, bad, 0.3]), 0.5)
    with pytest.raises(ModelError, match="1 of 2 predictions are not finite"):
        ClassesScorer(np.array([0, 1]), np.array([[0.5, 0.5], [bad, 0.0]]))
    with pytest.raises(ModelError, match="1 of 1 predictions are not finite"):
        RegressionScorer(np.array([1.0]), np.array([bad]))


def test_no_rows_are_refused() -> None:
    with pytest.raises(ModelError, match="no rows"):
        BinaryScorer(np.zeros(0), np.zeros(0), 0.5)


# Against scikit-learn: few distinct scores, so that ties abound, and weights that may be 0.
SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.75, 1.0]) | st.floats(0, 1)
WEIGHTS = st.sampled_from([0.0, 0.5, 1.0, 3.0]) | st.floats(0.01, 10)
RIGHT = 1e-9


@st.composite
def weighted(draw: st.DrawFn, *columns: st.SearchStrategy[float]) -> list[np.ndarray]:
    rows = draw(st.lists(st.tuples(*columns, WEIGHTS), min_size=1, max_size=40))
    made = [np.array(column, np.float64) for column in zip(*rows, strict=True)]
    if made[-1].sum() == 0:
        made[-1][0] = 1.0
    return made


@settings(max_examples=300, deadline=None)
@given(weighted(st.sampled_from([0.0, 1.0]), SCORES))
def test_binary_as_scikit_learn(rows: list[np.ndarray]) -> None:
    truth, score, weight = rows
    found = BinaryScorer(truth, score, 0.5)(weight)
    predicted = (score >= 0.5).astype(int)
    whole = {"sample_weight": weight}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert found["accuracy"] == EXACT(sk.accuracy_score(truth, predicted, **whole), abs=RIGHT)
        for average in ("binary", "macro", "micro", "weighted"):
            expected = sk.precision_recall_fscore_support(
                truth, predicted, average=average, zero_division=0, **whole
            )
            end = "" if average == "binary" else f"_{average}"
            for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
                assert found[f"{name}{end}"] == EXACT(value, abs=RIGHT), (name, average)
        loss = sk.log_loss(truth, score, labels=[0, 1], **whole)
        assert found["log_loss"] == EXACT(loss, abs=RIGHT, rel=RIGHT)
        brier = sk.brier_score_loss(truth, score, pos_label=1, labels=[0, 1], **whole)
        assert found["brier"] == EXACT(brier, abs=RIGHT)
    both = len(np.unique(truth[weight > 0])) == 2
    assert ("roc_auc" in found) == ("pr_auc" in found) == both
    if both:
        assert found["roc_auc"] == EXACT(sk.roc_auc_score(truth, score, **whole), abs=RIGHT)
        average = sk.average_precision_score(truth, score, **whole)
        assert found["pr_auc"] == EXACT(average, abs=RIGHT)


CLASSES = 4


@settings(max_examples=200, deadline=None)
@given(
    weighted(st.integers(0, CLASSES - 1), st.integers(0, 6)),
    st.integers(0, 2**32 - 1),
)
def test_classes_as_scikit_learn(rows: list[np.ndarray], seed: int) -> None:
    truth, _, weight = rows
    truth = truth.astype(int)
    random = np.random.default_rng(seed)
    raw = random.integers(1, 5, (len(truth), CLASSES)).astype(np.float64)  # ties abound
    score = raw / raw.sum(axis=1, keepdims=True)
    found = ClassesScorer(truth, score)(weight)
    predicted = score.argmax(axis=1)
    whole, labels = {"sample_weight": weight}, range(CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert found["accuracy"] == EXACT(sk.accuracy_score(truth, predicted, **whole), abs=RIGHT)
        for average in ("macro", "micro", "weighted"):
            expected = sk.precision_recall_fscore_support(
                truth, predicted, average=average, zero_division=0, **whole
            )
            for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
                assert found[f"{name}_{average}"] == EXACT(value, abs=RIGHT), (name, average)
        loss = sk.log_loss(truth, score, labels=labels, **whole)
        assert found["log_loss"] == EXACT(loss, abs=RIGHT, rel=RIGHT)
        for top in (2, 3):
            expected = sk.top_k_accuracy_score(truth, score, k=top, labels=labels, **whole)
            assert found[f"top_{top}"] == EXACT(expected, abs=RIGHT)
    one_hot = np.eye(CLASSES)[truth]
    assert found["brier"] == EXACT(
        np.average(((score - one_hot) ** 2).sum(axis=1), weights=weight), abs=RIGHT
    )
    every = len(np.unique(truth[weight > 0])) == CLASSES
    assert ("roc_auc_ovr" in found) == every
    if every:
        area = sk.roc_auc_score(truth, score, multi_class="ovr", labels=labels, **whole)
        assert found["roc_auc_ovr"] == EXACT(area, abs=RIGHT)


NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 2.5]) | st.floats(-1e6, 1e6)


@settings(max_examples=200, deadline=None)
@given(weighted(NUMBERS, NUMBERS))
def test_regression_as_scikit_learn(rows: list[np.ndarray]) -> None:
    truth, predicted, weight = rows
    # In eighths, whose sums are exact: where half the weight is reached exactly, rounding decides.
    weight = np.ceil(weight * 8) / 8
    found = RegressionScorer(truth, predicted)(weight)
    whole = {"sample_weight": weight}
    near = {"abs": RIGHT, "rel": RIGHT}
    assert found["mse"] == EXACT(sk.mean_squared_error(truth, predicted, **whole), **near)
    assert found["half_mse"] == EXACT(found["mse"] / 2)
    assert found["rmse"] == EXACT(sk.root_mean_squared_error(truth, predicted, **whole), **near)
    assert found["mae"] == EXACT(sk.mean_absolute_error(truth, predicted, **whole), **near)
    percentage = sk.mean_absolute_percentage_error(truth, predicted, **whole)
    assert found["mape"] == EXACT(percentage, **near)
    median = sk.median_absolute_error(truth, predicted, **whole)
    assert found["median_absolute_error"] == EXACT(median, **near)
    if "r2" in found and len(truth) > 1:
        assert found["r2"] == EXACT(sk.r2_score(truth, predicted, **whole), abs=1e-6, rel=1e-7)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=30))
def test_equal_weights_give_the_median(rows: list[tuple[float, float]]) -> None:
    truth, predicted = (np.array(column) for column in zip(*rows, strict=True))
    found = RegressionScorer(truth, predicted)(np.ones(len(rows)))
    assert found["median_absolute_error"] == np.median(np.abs(predicted - truth))
