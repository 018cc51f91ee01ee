"""Labels that are one of several classes: losses, metrics and predictions, worked out by hand."""

import warnings

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from headrace.errors import ModelError
from headrace.labels.classes import Classes, ClassesScorer
from headrace.labels.kind import LabelSummary
from headrace.labels.spec import LabelSpec
from tests.labels.scored_rows import PROBABILITIES, TOLERANCE, TRUTH, draw_weighted_columns

KIND = Classes()
SPEC = LabelSpec(kind="classes", classes=("a", "b", "c"))


# --- the dataset ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "column",
    [
        pa.chunked_array([["b", "a"], ["z", "c"]]),
        pa.chunked_array([["b", "a"], ["z", "c"]]).dictionary_encode(),
        pa.chunked_array([pa.array(["b", "a", "z", "c"])]),
    ],
    ids=["chunks", "dictionary", "one chunk"],
)
def test_labels_are_positions_and_unseen_classes_are_marked(column: pa.ChunkedArray) -> None:
    labels, is_unseen = KIND.convert_labels(column, SPEC)
    assert labels.dtype == np.int32
    assert labels.tolist() == [1, 0, -1, 2]
    assert is_unseen.tolist() == [False, False, True, False]
    assert SPEC.array == ("int32", ())


def test_no_rows_are_converted_to_no_labels() -> None:
    labels, is_unseen = KIND.convert_labels(pa.chunked_array([], pa.string()), SPEC)
    assert (labels.dtype, labels.shape, is_unseen.shape) == (np.int32, (0,), (0,))


def test_labels_that_are_all_the_same_are_a_problem() -> None:
    summary = LabelSummary(1200, 1200, distinct=1, examples=("a",), least_count=1200)
    assert KIND.find_label_problem(summary) == (
        "every label of the train split is 'a' (1,200 rows); there is nothing to learn"
    )
    assert KIND.find_label_problem(LabelSummary(9, 9, 2, ("a", "b"), 1)) is None


def test_classes_beyond_the_first_share_a_bin() -> None:
    assert KIND.name_bins(SPEC, 2) == ("a", "b", "other")
    assert KIND.name_classes(SPEC) == ("a", "b", "c")
    labels = np.array([2, 0])
    assert KIND.bin_labels(labels) is labels


# --- the network ----------------------------------------------------------------------------------
LOGITS = tf.constant(np.log([[2.0, 1.0, 1.0], [1.0, 1.0, 6.0]]), tf.float32)


def test_losses_by_hand() -> None:
    # The probabilities are 1/2 1/4 1/4 and 1/8 1/8 6/8.
    losses = KIND.make_row_losses()(tf.constant([0, 2]), LOGITS)
    np.testing.assert_allclose(losses, -np.log([1 / 2, 6 / 8]), rtol=1e-6)


def test_smoothed_losses_by_hand() -> None:
    # Smoothed by 0.3, the class itself has 0.8, and each of the other two has 0.1.
    losses = KIND.make_row_losses(0.3)(tf.constant([0, 2]), LOGITS)
    first = -(0.8 * np.log(1 / 2) + 0.1 * np.log(1 / 4) + 0.1 * np.log(1 / 4))
    second = -(0.8 * np.log(6 / 8) + 0.1 * np.log(1 / 8) + 0.1 * np.log(1 / 8))
    np.testing.assert_allclose(losses, [first, second], rtol=1e-6)


def test_numpy_and_tensorflow_compute_the_same_loss() -> None:
    random = np.random.default_rng(3)
    truth = random.integers(0, 4, 50).astype(np.int32)
    logits = random.normal(0, 3, (50, 4)).astype(np.float32)
    losses = KIND.make_row_losses()(tf.constant(truth), tf.constant(logits))
    mean_loss = KIND.compute_mean_loss(tf.nn.softmax(logits).numpy(), truth)
    assert mean_loss == pytest.approx(float(tf.reduce_mean(losses)), rel=1e-5)


def test_validation_metrics_by_hand() -> None:
    assert KIND.validate_predictions(TRUTH, PROBABILITIES, SPEC) == {"accuracy": 4 / 6}


# --- the prediction -------------------------------------------------------------------------------
def test_predicted_columns_by_hand() -> None:
    columns = KIND.predict_columns(np.array([[0.2, 0.3, 0.5], [0.6, 0.4, 0.0]]), SPEC, 0.5)
    assert columns["prediction"].to_pylist() == ["c", "a"]
    assert columns["probability"].to_pylist() == [0.5, 0.6]
    assert {name: c.type for name, c in columns.items()} == dict(KIND.prediction_types)


def test_recorded_classes_are_null_where_rounding_decides() -> None:
    output = np.array([[0.5, 0.499, 0.001], [0.6, 0.3, 0.1], [0.4, 0.2, 0.4]])
    recorded = KIND.record_golden(output, SPEC, 0.01)
    assert recorded["prediction"].to_pylist() == [None, "a", None]
    assert recorded["probability"].to_pylist() == [0.5, 0.6, 0.4]


def test_a_single_class_is_always_clear() -> None:
    recorded = KIND.record_golden(np.ones((1, 1)), LabelSpec(kind="classes", classes=("a",)), 0.01)
    assert recorded["prediction"].to_pylist() == ["a"]


def test_predictions_are_counted_by_their_class() -> None:
    assert KIND.bin_predictions(PROBABILITIES, 0.5).tolist() == [0, 0, 1, 1, 0, 2]


# --- evaluation -----------------------------------------------------------------------------------
def test_metrics_by_hand() -> None:
    scorer = ClassesScorer(TRUTH, PROBABILITIES)
    metrics = scorer(np.ones(6))
    assert scorer.count_outcomes() == {"rows": 6}
    assert metrics["accuracy"] == pytest.approx(4 / 6)
    assert metrics["precision_macro"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert metrics["recall_macro"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    # precision and recall of each class are equal, so f1 is too
    assert metrics["f1_macro"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert metrics["f1_micro"] == pytest.approx(4 / 6)
    true_probability = [0.7, 0.4, 0.2, 0.8, 0.2, 1.0]
    assert metrics["log_loss"] == pytest.approx(-np.mean(np.log(true_probability)), abs=1e-7)
    # the third row's class shares the second position with a later one, the fifth row's is second
    assert metrics["top_2"] == pytest.approx(5 / 6)
    assert metrics["top_3"] == pytest.approx(6 / 6)
    assert "top_5" not in metrics
    assert "roc_auc_ovr" not in metrics  # the fourth class does not occur


def test_a_class_that_was_never_predicted_has_precision_0() -> None:
    metrics = ClassesScorer(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]]))(np.ones(2))
    assert metrics["precision_macro"] == pytest.approx((1 / 2 + 0) / 2)
    assert metrics["recall_macro"] == pytest.approx((1 + 0) / 2)
    assert metrics["f1_macro"] == pytest.approx((2 / 3 + 0) / 2)


def test_a_row_has_no_table_of_labels() -> None:
    scorer = KIND.make_scorer({"label": TRUTH, "probabilities": PROBABILITIES}, SPEC, 0.5)
    assert scorer.describe_labels(np.ones(6), SPEC.classes) == []


@pytest.mark.parametrize("probability", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_refused(probability: float) -> None:
    with pytest.raises(ModelError, match="1 of 2 predictions are not finite"):
        ClassesScorer(np.array([0, 1]), np.array([[0.5, 0.5], [probability, 0.0]]))


def test_strength_is_the_share_of_errors_that_the_guess_saves() -> None:
    truth, fitted = np.array([0, 0, 1, 1, 2, 2]), np.array([1, 1, 0])
    # Always class 1 is wrong in four rows, this guess in one.
    assert KIND.measure_strength(truth, np.array([0, 0, 1, 1, 2, 0]), fitted) == 1 - 1 / 4
    assert KIND.measure_strength(truth, np.full(6, 3), fitted) == 0
    assert KIND.measure_strength(np.ones(3), np.ones(3), fitted) == 0  # no error to save


COUNT = 4


@settings(max_examples=200, deadline=None)
@given(
    draw_weighted_columns(st.integers(0, COUNT - 1), st.integers(0, 6)),
    st.integers(0, 2**32 - 1),
)
def test_metrics_equal_those_of_scikit_learn(rows: list[np.ndarray], seed: int) -> None:
    truth, _, weight = rows
    truth = truth.astype(int)
    random = np.random.default_rng(seed)
    raw = random.integers(1, 5, (len(truth), COUNT)).astype(np.float64)  # ties abound
    score = raw / raw.sum(axis=1, keepdims=True)
    metrics = ClassesScorer(truth, score)(weight)
    predicted = score.argmax(axis=1)
    options, labels = {"sample_weight": weight}, range(COUNT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {"accuracy": sk.accuracy_score(truth, predicted, **options)}
        for average in ("macro", "micro", "weighted"):
            values = sk.precision_recall_fscore_support(
                truth, predicted, average=average, zero_division=0, **options
            )
            for name, value in zip(("precision", "recall", "f1"), values, strict=False):
                expected[f"{name}_{average}"] = value
        expected["log_loss"] = sk.log_loss(truth, score, labels=labels, **options)
        for top in (2, 3):
            expected[f"top_{top}"] = sk.top_k_accuracy_score(
                truth, score, k=top, labels=labels, **options
            )
    squares = ((score - np.eye(COUNT)[truth]) ** 2).sum(axis=1)
    expected["brier"] = np.average(squares, weights=weight)
    if len(np.unique(truth[weight > 0])) == COUNT:
        expected["roc_auc_ovr"] = sk.roc_auc_score(
            truth, score, multi_class="ovr", labels=labels, **options
        )
    del metrics["calibration_error"]  # scikit-learn has none
    assert metrics == pytest.approx(expected, abs=TOLERANCE, rel=TOLERANCE)
