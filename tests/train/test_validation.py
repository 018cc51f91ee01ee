"""Validation metrics by the label's kind, worked out by hand."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from headrace.labels.scoring import compute_roc_auc_by_ranks
from headrace.labels.spec import LabelSpec
from headrace.train.validation import (
    compute_validation_metrics,
    gather_predictions,
    validate_split,
)
from tests.train.ranks_on_threads import ThreadCollectives, run_on_threads


class RankRows:
    """The stream of a rank that has one row per batch, and a predictor that repeats its feature."""

    def __init__(self, rows: list[tuple[float, float]]) -> None:
        self._rows = rows

    def read_batches(self, epoch: int) -> Iterator[Mapping[str, np.ndarray]]:
        assert epoch == 0
        for label, feature in self._rows:
            yield {"label": np.array([label]), "x": np.array([feature])}

    def predict(self, batches: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        label, feature = zip(*((batch["label"], batch["x"]) for batch in batches), strict=True)
        return {"label": np.concatenate(label), "probability": np.concatenate(feature)}


def test_all_ranks_have_the_metrics_of_all_rows_and_show_that_they_live() -> None:
    rows = [RankRows([(1.0, 0.75), (0.0, 0.25)]), RankRows([(1.0, 0.5)])]

    def validate_on_rank(collectives: ThreadCollectives) -> tuple[dict[str, float], list, int]:
        stream: Any = rows[collectives.rank]
        predictor: Any = stream.predict
        truth, predicted, _ = gather_predictions(predictor, stream, collectives, LabelSpec())
        beats = collectives.heartbeat.read_position().beats
        metrics = validate_split(predictor, stream, collectives, LabelSpec())
        return metrics, [truth.tolist(), predicted.tolist()], beats

    (metrics, gathered, beats), (others_metrics, others_gathered, others_beats) = run_on_threads(
        2, validate_on_rank
    )
    assert gathered == others_gathered == [[1.0, 0.0, 1.0], [0.75, 0.25, 0.5]]
    assert metrics == others_metrics
    assert metrics["loss"] == pytest.approx(-(2 * np.log(0.75) + np.log(0.5)) / 3, abs=1e-12)
    assert (beats, others_beats) == (2, 1)


def test_binary() -> None:
    truth = np.array([1, 0, 1, 0], np.float32)
    predicted = np.array([0.75, 0.25, 0.5, 0.5], np.float32)
    metrics = compute_validation_metrics(truth, predicted, LabelSpec())
    assert metrics["accuracy"] == 3 / 4  # 0.5 counts as positive
    assert metrics["loss"] == pytest.approx(-(2 * np.log(0.75) + 2 * np.log(0.5)) / 4, abs=1e-12)
    # of 4 pairs (positive, negative) three are in order and one is a tie
    assert metrics["roc_auc"] == pytest.approx(3.5 / 4)


def test_binary_with_one_class_has_no_roc_auc() -> None:
    metrics = compute_validation_metrics(np.zeros(2), np.array([0.1, 0.6]), LabelSpec())
    assert sorted(metrics) == ["accuracy", "loss"]


def test_classes() -> None:
    label = LabelSpec(kind="classes", classes=("a", "b", "c"))
    truth = np.array([0, 1, 2], np.int32)
    predicted = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.0, 0.0, 1.0]], np.float32)
    metrics = compute_validation_metrics(truth, predicted, label)
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert metrics["loss"] == pytest.approx((np.log(2) + np.log(4) + 1e-7) / 3, abs=1e-12)
    assert sorted(metrics) == ["accuracy", "loss"]


def test_regression_has_the_loss_in_the_trained_unit_and_the_error_in_the_labels_own() -> None:
    label = LabelSpec(kind="regression", center=10.0, scale=4.0)
    metrics = compute_validation_metrics(
        np.array([0.0, 1.0]), np.array([0.5, -1.0], np.float32), label
    )
    assert metrics == {"loss": (0.25 + 4.0) / 2, "mae": 4.0 * (0.5 + 2.0) / 2}


def test_a_probability_of_0_for_what_is_true_has_a_finite_loss() -> None:
    loss = LabelSpec().definition.compute_mean_loss(np.array([0.0]), np.array([1.0]))
    assert loss == pytest.approx(16.118, abs=1e-3)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.1000001, 0.5, 1.0])),
        min_size=2,
        max_size=40,
    ).filter(lambda rows: len({label for label, _ in rows}) == 2)
)
def test_roc_auc_is_scikit_learns(rows: list[tuple[bool, float]]) -> None:
    """With ties, of which a half counts."""
    truth = np.array([float(label) for label, _ in rows], np.float32)
    score = np.array([value for _, value in rows], np.float32)
    assert compute_roc_auc_by_ranks(truth, score) == pytest.approx(
        roc_auc_score(truth, score), abs=1e-12
    )
