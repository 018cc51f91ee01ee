"""Validation metrics by the label's kind, worked out by hand."""

import numpy as np
import pytest

from pipelines.train.losses import mean_loss
from pipelines.train.validation import validation_metrics
from pipelines.transform.spec import LabelSpec


def test_binary() -> None:
    truth = np.array([1, 0, 1, 0], np.float32)
    predicted = np.array([0.75, 0.25, 0.5, 0.5], np.float32)
    found = validation_metrics(truth, predicted, LabelSpec())
    assert found["accuracy"] == 3 / 4  # 0.5 counts as positive
    assert found["loss"] == pytest.approx(-(2 * np.log(0.75) + 2 * np.log(0.5)) / 4, abs=1e-12)
    # of 4 pairs (positive, negative) three are in order and one is a tie
    assert found["roc_auc"] == pytest.approx(3.5 / 4)


def test_binary_with_one_class_has_no_roc_auc() -> None:
    found = validation_metrics(np.zeros(2), np.array([0.1, 0.6]), LabelSpec())
    assert sorted(found) == ["accuracy", "loss"]


def test_classes() -> None:
    label = LabelSpec(kind="classes", classes=("a", "b", "c"))
    truth = np.array([0, 1, 2], np.int32)
    predicted = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.0, 0.0, 1.0]], np.float32)
    found = validation_metrics(truth, predicted, label)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["loss"] == pytest.approx((np.log(2) + np.log(4) + 1e-7) / 3, abs=1e-12)
    assert sorted(found) == ["accuracy", "loss"]


def test_regression_has_the_loss_in_the_trained_unit_and_the_error_in_the_labels_own() -> None:
    label = LabelSpec(kind="regression", center=10.0, scale=4.0)
    found = validation_metrics(np.array([0.0, 1.0]), np.array([0.5, -1.0], np.float32), label)
    assert found == {"loss": (0.25 + 4.0) / 2, "mae": 4.0 * (0.5 + 2.0) / 2}


def test_a_probability_of_0_for_what_is_true_has_a_finite_loss() -> None:
    assert mean_loss("binary", np.array([0.0]), np.array([1.0])) == pytest.approx(16.118, abs=1e-3)
