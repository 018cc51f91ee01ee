"""Labels that are a condition: losses, metrics, predictions and refusals, worked out by hand."""

import warnings

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from headrace.errors import ModelError
from headrace.labels.binary import Binary, BinaryScorer
from headrace.labels.kind import LabelSummary
from headrace.labels.spec import LabelSpec
from tests.labels.scored_rows import (
    LABEL,
    PROBABILITY,
    SCORES,
    TOLERANCE,
    draw_weighted_columns,
)

KIND = Binary()
SPEC = LabelSpec(kind="binary")


# --- the dataset ----------------------------------------------------------------------------------
def test_labels_are_float32_and_all_of_them_are_in_the_spec() -> None:
    labels, is_unseen = KIND.convert_labels(pa.chunked_array([[0.0, 1.0], [1.0]]), SPEC)
    assert labels.dtype == np.float32
    assert labels.tolist() == [0, 1, 1]
    assert is_unseen.tolist() == [False, False, False]
    assert SPEC.array == ("float32", ())


@pytest.mark.parametrize(
    ("low", "high", "problem"),
    [
        (0.0, 1.0, None),
        (0.0, 0.0, "every label of the train split is false (1,200 rows); there is nothing"),
        (1.0, 1.0, "every label of the train split is true (1,200 rows); there is nothing"),
    ],
)
def test_labels_that_are_all_the_same_are_a_problem(
    low: float, high: float, problem: str | None
) -> None:
    message = KIND.find_label_problem(LabelSummary(1200, 1200, low=low, high=high))
    assert message is None if problem is None else problem in str(message)


def test_class_weights_are_given_by_false_and_true() -> None:
    assert KIND.name_classes(SPEC) == ("false", "true")
    assert KIND.name_bins(SPEC, 30) == ()


# --- the network ----------------------------------------------------------------------------------
def test_losses_by_hand() -> None:
    # A logit of ln 3 is a probability of 3/4, one of 0 is 1/2.
    labels, logits = tf.constant([1.0, 0.0, 1.0]), tf.constant([np.log(3.0), np.log(3.0), 0.0])
    losses = KIND.make_row_losses()(labels, tf.cast(logits, tf.float32))
    np.testing.assert_allclose(losses, -np.log([3 / 4, 1 / 4, 1 / 2]), rtol=1e-6)


def test_smoothed_losses_by_hand() -> None:
    # Smoothed by 0.2, 1 becomes 0.9 and 0 becomes 0.1.
    labels, logits = tf.constant([1.0, 0.0]), tf.constant([np.log(3.0)] * 2, tf.float32)
    losses = KIND.make_row_losses(0.2)(labels, logits)
    yes, no = -np.log(3 / 4), -np.log(1 / 4)
    np.testing.assert_allclose(losses, [0.9 * yes + 0.1 * no, 0.1 * yes + 0.9 * no], rtol=1e-6)


def test_numpy_and_tensorflow_compute_the_same_loss() -> None:
    random = np.random.default_rng(3)
    truth = (random.random(50) < 0.4).astype(np.float32)
    logits = random.normal(0, 3, 50).astype(np.float32)
    losses = KIND.make_row_losses()(tf.constant(truth), tf.constant(logits))
    mean_loss = KIND.compute_mean_loss(tf.sigmoid(logits).numpy(), truth)
    assert mean_loss == pytest.approx(float(tf.reduce_mean(losses)), rel=1e-5)


def test_a_probability_of_0_has_a_finite_loss() -> None:
    mean_loss = KIND.compute_mean_loss(np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    assert mean_loss == pytest.approx(-np.log(1e-7) / 2, rel=1e-6)


def test_validation_metrics_by_hand() -> None:
    # At 0.5 one row with label 1 and two with label 0 are predicted wrongly; of 15 pairs of a
    # positive and a negative row 10 are in order.
    metrics = KIND.validate_predictions(LABEL, PROBABILITY, SPEC)
    assert metrics == {"accuracy": 5 / 8, "roc_auc": pytest.approx(10 / 15)}
    assert KIND.validate_predictions(np.zeros(2), np.array([0.1, 0.6]), SPEC) == {"accuracy": 0.5}
    assert {"loss", *metrics} == set(KIND.validation_metrics)


# --- the prediction -------------------------------------------------------------------------------
def test_predicted_columns_by_hand() -> None:
    columns = KIND.predict_columns(np.array([0.2, 0.4, 0.9]), SPEC, 0.4)
    assert columns["prediction"].to_pylist() == [0, 1, 1]
    assert columns["probability"].to_pylist() == [0.2, 0.4, 0.9]
    assert {name: c.type for name, c in columns.items()} == dict(KIND.prediction_types)


def test_recorded_predictions_are_probabilities_alone() -> None:
    output = np.array([0.25, 0.5], np.float32)
    recorded = KIND.record_golden(output, SPEC, 1e-5)
    assert {name: c.to_pylist() for name, c in recorded.items()} == {"probability": [0.25, 0.5]}
    assert recorded["probability"].type == pa.float64()


def test_histograms_of_probabilities_reach_from_0_to_1() -> None:
    output = np.array([0.3, 0.4])
    assert KIND.find_prediction_range(output) == (0, 1)
    assert KIND.bin_predictions(output, 0.5) is output
    assert KIND.convert_output(output, SPEC) is output


# --- evaluation -----------------------------------------------------------------------------------
def test_metrics_by_hand() -> None:
    scorer = BinaryScorer(LABEL, PROBABILITY, threshold=0.5)
    counts, metrics = scorer.count_outcomes(), scorer(np.ones(8))
    assert (counts["true_positives"], counts["false_positives"]) == (2, 2)  # 0.5 is positive
    assert (counts["true_negatives"], counts["false_negatives"]) == (3, 1)
    assert (counts["rows"], counts["positives"]) == (8, 3)
    assert metrics["accuracy"] == pytest.approx(5 / 8)
    assert metrics["precision"] == pytest.approx(2 / 4)
    assert metrics["recall"] == pytest.approx(2 / 3)
    assert metrics["f1"] == pytest.approx(2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))
    # of 15 pairs (positive, negative) the positive is above in 5 + 4 + 1
    assert metrics["roc_auc"] == pytest.approx(10 / 15)
    # average precision: recall grows at the first, third and seventh row
    assert metrics["pr_auc"] == pytest.approx((1 / 1 + 2 / 3 + 3 / 7) / 3)
    p = [0.9, 0.6, 0.2, 0.3, 0.5, 0.6, 0.7, 0.9]  # of the label that is true
    assert metrics["log_loss"] == pytest.approx(-np.mean(np.log(p)), abs=1e-7)
    assert metrics["brier"] == pytest.approx(np.mean((1 - np.array(p)) ** 2), abs=1e-7)
    entropy = -(3 / 8 * np.log(3 / 8) + 5 / 8 * np.log(5 / 8))
    assert metrics["normalized_entropy"] == pytest.approx(metrics["log_loss"] / entropy)


def test_a_weight_of_2_counts_as_two_rows() -> None:
    weight = np.array([2.0, 1, 0, 3, 1, 1, 1, 1])
    repeated = np.repeat(np.arange(8), weight.astype(int))
    once = BinaryScorer(LABEL[repeated], PROBABILITY[repeated], 0.5)(np.ones(len(repeated)))
    assert BinaryScorer(LABEL, PROBABILITY, 0.5)(weight) == pytest.approx(once)


def test_one_class_alone_has_no_curves() -> None:
    metrics = BinaryScorer(np.zeros(3), np.array([0.1, 0.2, 0.3]), 0.5)(np.ones(3))
    assert "roc_auc" not in metrics
    assert metrics["accuracy"] == 1.0


def test_a_binary_label_has_no_table_of_labels() -> None:
    scorer = KIND.make_scorer({"label": LABEL, "probability": PROBABILITY}, SPEC, 0.5)
    assert scorer.describe_labels(np.ones(8), ()) == []


@pytest.mark.parametrize("probability", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_refused(probability: float) -> None:
    with pytest.raises(ModelError, match="1 of 3 predictions are not finite"):
        BinaryScorer(np.array([0, 1, 1]), np.array([0.1, probability, 0.3]), 0.5)


def test_no_rows_are_refused() -> None:
    with pytest.raises(ModelError, match="no rows"):
        BinaryScorer(np.zeros(0), np.zeros(0), 0.5)


def test_strength_by_hand() -> None:
    truth = np.array([0, 0, 1, 1])
    assert KIND.measure_strength(truth, np.array([1, 2, 3, 4]), truth) == 1
    # three of four pairs are in order: 2 * 3/4 - 1
    assert KIND.measure_strength(truth, np.array([1, 3, 2, 4]), truth) == pytest.approx(0.5)
    assert KIND.measure_strength(truth, np.array([4, 3, 2, 1]), truth) == 0
    assert KIND.measure_strength(np.zeros(4), np.array([1, 2, 3, 4]), truth) == 0


@settings(max_examples=300, deadline=None)
@given(draw_weighted_columns(st.sampled_from([0.0, 1.0]), SCORES))
def test_metrics_equal_those_of_scikit_learn(rows: list[np.ndarray]) -> None:
    truth, score, weight = rows
    metrics = BinaryScorer(truth, score, 0.5)(weight)
    predicted = (score >= 0.5).astype(int)
    options = {"sample_weight": weight}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {"accuracy": sk.accuracy_score(truth, predicted, **options)}
        for average in ("binary", "macro", "micro", "weighted"):
            values = sk.precision_recall_fscore_support(
                truth, predicted, average=average, zero_division=0, **options
            )
            end = "" if average == "binary" else f"_{average}"
            for name, value in zip(("precision", "recall", "f1"), values, strict=False):
                expected[f"{name}{end}"] = value
        expected["log_loss"] = sk.log_loss(truth, score, labels=[0, 1], **options)
        expected["brier"] = sk.brier_score_loss(truth, score, pos_label=1, labels=[0, 1], **options)
    if len(np.unique(truth[weight > 0])) == 2:
        expected["roc_auc"] = sk.roc_auc_score(truth, score, **options)
        expected["pr_auc"] = sk.average_precision_score(truth, score, **options)
        # over the loss of the best constant
        constant = np.full(len(truth), np.average(truth, weights=weight))
        best = sk.log_loss(truth, constant, labels=[0, 1], **options)
        expected["normalized_entropy"] = expected["log_loss"] / best
    del metrics["calibration_error"]  # scikit-learn has none
    assert metrics == pytest.approx(expected, abs=TOLERANCE, rel=TOLERANCE)
