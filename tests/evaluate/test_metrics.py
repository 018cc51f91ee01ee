"""Metrics of a binary classifier, against values worked out by hand."""

import numpy as np
import pytest

from pipelines.errors import ModelError
from pipelines.evaluate.metrics import binary_metrics
from pipelines.evaluate.plots import binary_plots

LABEL = np.array([1, 1, 1, 0, 0, 0, 0, 0], np.float32)
PROBABILITY = np.array([0.9, 0.6, 0.2, 0.7, 0.5, 0.4, 0.3, 0.1], np.float32)


def test_by_hand() -> None:
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
    assert list(binary_plots(np.zeros(3), np.array([0.1, 0.2, 0.3]), 0.5)) == [
        "confusion_matrix.png"
    ]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_predictions_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ModelError, match="1 of 2 predictions are not finite"):
        binary_metrics(np.array([0, 1]), np.array([0.5, bad]), 0.5)


def test_no_rows_are_refused() -> None:
    with pytest.raises(ModelError, match="no rows"):
        binary_metrics(np.zeros(0), np.zeros(0), 0.5)


def test_plots_show_the_counts() -> None:
    plots = binary_plots(LABEL, PROBABILITY, 0.5)
    assert sorted(plots) == ["confusion_matrix.png", "roc_and_pr.png"]
    texts = [t.get_text() for t in plots["confusion_matrix.png"].axes[0].texts]
    assert sorted(texts) == ["1", "2", "2", "3"]
