"""Labels that are any number of names: losses, metrics and predictions, worked out by hand."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from headrace.labels.binary import Binary
from headrace.labels.kind import LabelSummary
from headrace.labels.label_texts import NONE, SEPARATOR
from headrace.labels.multi_label import MAX_LABELS, MultiLabel
from headrace.labels.multi_label_scorer import MultiLabelScorer
from headrace.labels.spec import LabelSpec

KIND = MultiLabel()
SPEC = LabelSpec(kind="multi_label", classes=("fog", "rain", "snow"))
TRUTH = np.array([[0, 1, 0], [0, 0, 0], [1, 1, 0], [1, 0, 0]], np.float32)
PROBABILITIES = np.array(
    [[0.2, 0.9, 0.1], [0.1, 0.5, 0.1], [0.8, 0.7, 0.3], [0.4, 0.2, 0.0]], np.float32
)


# --- the dataset ----------------------------------------------------------------------------------
def test_labels_are_a_matrix_and_unseen_names_are_marked() -> None:
    texts = [f"fog{SEPARATOR}snow", "", f"hail{SEPARATOR}rain"]
    labels, has_unseen = KIND.convert_labels(pa.chunked_array([texts]), SPEC)
    assert labels.dtype == np.float32
    assert labels.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert has_unseen.tolist() == [False, False, True]
    assert SPEC.array == ("float32", (3,))


@pytest.mark.parametrize(
    ("summary", "problem"),
    [
        (LabelSummary(9, 20, 2, ("a", "b"), 8), None),
        (LabelSummary(9, 0), "fewer than two labels, and a label of kind multi_label needs two; "
         "there is none"),
        (LabelSummary(9, 9, 1, ("a",), 9), "there is 'a'"),
        (LabelSummary(9, 18, 2, ("a", "b"), 9), "every row of the train split (9) has every label"),
        (LabelSummary(9, 9999, MAX_LABELS + 1, ("a", "b"), 1), "5,001 different labels"),
    ],
)  # fmt: skip
def test_labels_from_which_nothing_can_be_learned(
    summary: LabelSummary, problem: str | None
) -> None:
    message = KIND.find_label_problem(summary)
    assert message is None if problem is None else problem in str(message)


def test_labels_are_counted_by_name_and_rows_without_any_apart() -> None:
    names = KIND.name_bins(SPEC, 2)
    assert names == (NONE, "fog", "rain", "other")
    assert sorted(KIND.bin_labels(TRUTH).tolist()) == [0, 1, 1, 2, 2]


# --- the network ----------------------------------------------------------------------------------
def test_losses_by_hand() -> None:
    # Logits of ln 3 and 0 are probabilities of 3/4 and 1/2.
    logits = tf.constant([[np.log(3.0), 0.0], [np.log(3.0), np.log(3.0)]], tf.float32)
    losses = KIND.make_row_losses()(tf.constant([[1.0, 0.0], [0.0, 1.0]]), logits)
    expected = [-(np.log(3 / 4) + np.log(1 / 2)) / 2, -(np.log(1 / 4) + np.log(3 / 4)) / 2]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


def test_each_label_is_smoothed_as_a_binary_one() -> None:
    labels, logits = tf.constant([[1.0, 0.0]]), tf.constant([[0.75, -1.0]])
    by_label = Binary().make_row_losses(0.2)(labels[0], logits[0])
    losses = KIND.make_row_losses(0.2)(labels, logits)
    np.testing.assert_allclose(losses, [np.mean(by_label)], rtol=1e-6)


def test_numpy_and_tensorflow_compute_the_same_loss() -> None:
    random = np.random.default_rng(3)
    truth = (random.random((50, 3)) < 0.4).astype(np.float32)
    logits = random.normal(0, 3, (50, 3)).astype(np.float32)
    losses = KIND.make_row_losses()(tf.constant(truth), tf.constant(logits))
    mean_loss = KIND.compute_mean_loss(tf.sigmoid(logits).numpy(), truth)
    assert mean_loss == pytest.approx(float(tf.reduce_mean(losses)), rel=1e-5)


def test_validation_metrics_by_hand() -> None:
    # Rows 0 and 2 are right; of 4 + 4 labels and predictions 3 agree; fog and rain are in order.
    assert KIND.validate_predictions(TRUTH, PROBABILITIES, SPEC) == {
        "exact_match": 2 / 4,
        "f1_micro": 2 * 3 / 8,
        "roc_auc_macro": 1.0,
    }
    nothing = KIND.validate_predictions(np.zeros((2, 2)), np.zeros((2, 2)), SPEC)
    assert nothing == {"exact_match": 1.0, "f1_micro": 0.0}


# --- the prediction -------------------------------------------------------------------------------
def test_predicted_columns_by_hand() -> None:
    output = np.array([[0.1, 0.5, 0.9], [0.1, 0.2, 0.3]])
    columns = KIND.predict_columns(output, SPEC, 0.5)
    assert columns["prediction"].to_pylist() == [["rain", "snow"], []]
    assert columns["probability"].to_pylist() == [
        [("fog", 0.1), ("rain", 0.5), ("snow", 0.9)],
        [("fog", 0.1), ("rain", 0.2), ("snow", 0.3)],
    ]
    assert {name: c.type for name, c in columns.items()} == dict(KIND.prediction_types)


def test_no_rows_are_predicted_as_no_rows() -> None:
    columns = KIND.predict_columns(np.zeros((0, 3)), SPEC, 0.5)
    assert {name: c.to_pylist() for name, c in columns.items()} == {
        "prediction": [], "probability": []
    }  # fmt: skip


def test_recorded_predictions_are_all_probabilities() -> None:
    recorded = KIND.record_golden(np.array([[0.25, 0.5, 1.0]], np.float32), SPEC, 1e-5)
    assert {name: c.to_pylist() for name, c in recorded.items()} == {
        "probability": [[0.25, 0.5, 1.0]]
    }
    assert recorded["probability"].type == pa.list_(pa.float64())


def test_predictions_are_counted_from_the_threshold_on() -> None:
    # fog: 0.8; rain: 0.9, 0.5, 0.7; the last row has none
    bins = KIND.bin_predictions(PROBABILITIES, 0.5)
    assert np.bincount(bins, minlength=4).tolist() == [1, 1, 3, 0]


# --- evaluation -----------------------------------------------------------------------------------
def test_the_scorer_is_that_of_several_labels() -> None:
    scorer = KIND.make_scorer({"label": TRUTH, "probabilities": PROBABILITIES}, SPEC, 0.5)
    assert isinstance(scorer, MultiLabelScorer)
    assert scorer(np.ones(4))["exact_match"] == 2 / 4


def test_rows_are_equal_where_all_labels_are() -> None:
    changed = TRUTH.copy()
    changed[2, 0] = 0
    equal = KIND.find_equal_labels(TRUTH, SPEC, changed, SPEC)
    assert equal.tolist() == [True, True, False, True]


def test_strength_is_that_of_the_label_that_is_guessed_best() -> None:
    rows = np.arange(40)
    truth = np.stack([rows % 2 == 0, rows < 20, rows < 3], axis=1).astype(float)
    guess = np.stack([rows * 0.0, -rows, -rows], axis=1)
    # The third label is guessed without an error as well, but has too few rows to say so.
    assert KIND.measure_strength(truth, guess, truth) == 1
    assert KIND.measure_strength(truth[:, [0, 2]], guess[:, [0, 2]], truth) == 0
    assert KIND.measure_strength(truth[:, [2]], guess[:, [2]], truth) == 0
