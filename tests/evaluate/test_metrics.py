"""Metrics by the label's kind, against values worked out by hand."""

import numpy as np
import pytest

from pipelines.errors import ModelError
from pipelines.evaluate.judge import judge
from pipelines.evaluate.metrics import (
    binary_metrics,
    classes_metrics,
    in_own_unit,
    regression_metrics,
)
from pipelines.transform.spec import LabelSpec

LABEL = np.array([1, 1, 1, 0, 0, 0, 0, 0], np.float32)
PROBABILITY = np.array([0.9, 0.6, 0.2, 0.7, 0.5, 0.4, 0.3, 0.1], np.float32)


def test_binary_by_hand() -> None:
    found = binary_metrics(LABEL, PROBABILITY, threshold=0.5)
    counts = {k: found[f"{k}s"] for k in ("true_positive", "false_positive")}
    assert counts == {"true_positive": 2, "false_positive": 2}  # 0.5 counts as positive
    assert (found["true_negatives"], found["false_negatives"]) == (3, 1)
    assert found["accuracy"] == pytest.approx(5 / 8)
    assert found["precision"] == pytest.approx(2 / 4)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx(2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))
    # of 15 pairs (positive, negative) the positive is above in 5 + 4 + 1
    assert found["roc_auc"] == pytest.approx(10 / 15)
    # average precision: recall grows at ranks 1, 3 and 7
    assert found["pr_auc"] == pytest.approx((1 / 1 + 2 / 3 + 3 / 7) / 3)
    p = [0.9, 0.6, 0.2, 0.3, 0.5, 0.6, 0.7, 0.9]  # of the label that is true
    assert found["log_loss"] == pytest.approx(-np.mean(np.log(p)), abs=1e-7)


def test_one_class_alone_has_no_curves() -> None:
    found = binary_metrics(np.zeros(3), np.array([0.1, 0.2, 0.3]), threshold=0.5)
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
    found = classes_metrics(TRUTH, PROBABILITIES)
    assert found["rows"] == 6
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["precision_macro"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert found["recall_macro"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    # precision and recall are equal a class, so f1 is too
    assert found["f1_macro"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    right = [0.7, 0.4, 0.2, 0.8, 0.2, 1.0]
    assert found["log_loss"] == pytest.approx(-np.mean(np.log(right)), abs=1e-7)


def test_a_class_that_was_never_predicted_has_precision_0() -> None:
    found = classes_metrics(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]]))
    assert found["precision_macro"] == pytest.approx((1 / 2 + 0) / 2)
    assert found["recall_macro"] == pytest.approx((1 + 0) / 2)
    assert found["f1_macro"] == pytest.approx((2 / 3 + 0) / 2)


def test_regression_by_hand() -> None:
    truth = np.array([1.0, 2.0, 3.0, 6.0])
    predicted = np.array([2.0, 2.0, 1.0, 6.0])
    found = regression_metrics(truth, predicted, np.array([1.0, 4.0, 3.0, 2.0], np.float32))
    assert found == {
        "rows": 4,
        "mse": 5 / 4,
        "half_mse": 5 / 8,
        "rmse": pytest.approx(1.118034, abs=1e-6),
        "mae": 3 / 4,
        # deviations from the mean 3 are -2, -1, 0 and 3, squares 14
        "r2": pytest.approx(1 - 5 / 14),
        "baseline_mae": 6 / 4,
        "baseline_rmse": pytest.approx(5**0.5),
        "mae_over_baseline": pytest.approx(0.5),
    }


def test_what_is_undefined_is_left_out() -> None:
    same = np.array([2.0, 2.0])
    found = regression_metrics(same, np.array([2.0, 3.0]), same)
    assert "r2" not in found
    assert found["baseline_mae"] == 0
    assert "mae_over_baseline" not in found
    assert "baseline_mae" not in regression_metrics(same, same)


def test_the_own_unit_is_computed_in_float64() -> None:
    label = LabelSpec(kind="regression", center=1e9, scale=4.0)
    found = in_own_unit(np.array([0.25, -0.5], np.float32), label)
    assert found.tolist() == [1e9 + 1, 1e9 - 2]  # float32 has steps of 64 there


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_predictions_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ModelError, match="1 of 2 predictions are not finite"):
        binary_metrics(np.array([0, 1]), np.array([0.5, bad]), 0.5)
    with pytest.raises(ModelError, match="1 of 2 predictions are not finite"):
        classes_metrics(np.array([0, 1]), np.array([[0.5, 0.5], [bad, bad]]))
    with pytest.raises(ModelError, match="1 of 2 predictions are not finite"):
        regression_metrics(np.array([0.0, 1.0]), np.array([0.5, bad]))


def test_no_rows_are_refused() -> None:
    with pytest.raises(ModelError, match="no rows"):
        binary_metrics(np.zeros(0), np.zeros(0), 0.5)
    with pytest.raises(ModelError, match="no rows"):
        classes_metrics(np.zeros(0, np.int32), np.zeros((0, 3)))
    with pytest.raises(ModelError, match="no rows"):
        regression_metrics(np.zeros(0), np.zeros(0))


def test_every_kind_of_label_is_judged_on_its_own_output() -> None:
    metrics, plots = judge({"label": LABEL, "probability": PROBABILITY}, LabelSpec(), 0.65)
    assert metrics["true_positives"] == 1  # of 0.9, 0.6 and 0.2
    assert sorted(plots) == ["confusion_matrix.png", "roc_and_pr.png"]
    classes = LabelSpec(kind="classes", classes=("a", "b", "c", "d"))
    metrics, plots = judge({"label": TRUTH, "probabilities": PROBABILITIES}, classes, 0.65)
    assert metrics["accuracy"] == pytest.approx(4 / 6)
    assert list(plots) == ["confusion_matrix.png"]
    regression = LabelSpec(kind="regression", center=10.0, scale=2.0, baseline=True)
    found = {
        "label": np.array([0.0, 1.0], np.float32),  # 10 and 12
        "value": np.array([0.5, 1.0], np.float32),  # 11 and 12
        "baseline": np.array([12.0, 12.0], np.float32),
    }
    metrics, plots = judge(found, regression, 0.65)
    assert (metrics["mae"], metrics["baseline_mae"]) == (0.5, 1.0)
    assert metrics["mae_over_baseline"] == 0.5
    assert list(plots) == ["predictions_and_residuals.png"]
