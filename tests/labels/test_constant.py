"""The best constant of each kind: no other constant has a better score."""

import numpy as np
import pytest

from headrace.errors import ModelError
from headrace.labels.binary import BinaryScorer
from headrace.labels.classes import ClassesScorer
from headrace.labels.constant import (
    choose_score,
    describe_constant,
    fit_constant,
    make_constant_scorer,
)
from headrace.labels.spec import LabelSpec

RANDOM = np.random.default_rng(2)
LABELS = {
    "binary": (LabelSpec(), (RANDOM.random(300) < 0.2).astype(np.float32)),
    "classes": (
        LabelSpec(kind="classes", classes=("x", "y", "z")),
        RANDOM.choice(3, 300, p=[0.1, 0.7, 0.2]).astype(np.int32),
    ),
    "multi_label": (
        LabelSpec(kind="multi_label", classes=("x", "y")),
        (RANDOM.random((300, 2)) < [0.3, 0.9]).astype(np.float32),
    ),
    "regression": (
        LabelSpec(kind="regression", center=5.0, scale=1e-12),
        RANDOM.exponential(2, 300).astype(np.float32),
    ),
    "count": (LabelSpec(kind="count"), RANDOM.poisson(1.5, 300).astype(np.float32)),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("weighted", [False, True])
def test_no_other_constant_is_better_by_the_score(kind: str, weighted: bool) -> None:
    label, truth = LABELS[kind]
    weight = RANDOM.integers(0, 4, 300).astype(float) if weighted else np.ones(300)
    constant = fit_constant(label, truth, weight)
    metric = choose_score(kind)

    def score(answer: np.ndarray) -> float:
        return make_constant_scorer(answer, {"label": truth}, label)(weight)[metric]

    best = score(constant)
    for step in (0.001, -0.001, 0.05, -0.05):
        others = [constant + step] if kind != "classes" else [
            constant + step * np.array(move) for move in ([1, -1, 0], [0, 1, -1], [-1, 0, 1])
        ]  # fmt: skip
        assert all(score(other) > best for other in others)


def test_decisions_are_the_better_of_the_two_constant_ones() -> None:
    label, truth = LABELS["binary"]
    share = truth.mean()
    metrics = make_constant_scorer(np.array(share), {"label": truth}, label)(np.ones(300))
    assert metrics["accuracy"] == pytest.approx(1 - share)  # never
    assert metrics["f1"] == pytest.approx(2 * share / (1 + share))  # always
    assert (metrics["precision"], metrics["recall"]) == (pytest.approx(share), 1.0)
    assert metrics["roc_auc"] == 0.5


@pytest.mark.parametrize("truth", [[0, 0, 0], [1, 1], [0, 1, 1]])
def test_a_constant_is_scored_as_if_it_were_a_model(truth: list[int]) -> None:
    rows, weight = np.array(truth, np.float32), np.arange(1.0, len(truth) + 1)
    own = make_constant_scorer(np.array(0.2), {"label": rows}, LabelSpec())(weight)
    model = BinaryScorer(rows, np.full(len(rows), 0.2), 0.5)(weight)
    for metric in ("accuracy", "log_loss", "brier", "calibration_error", "roc_auc", "pr_auc"):
        assert own.get(metric) == pytest.approx(model.get(metric)), metric


def test_classes_that_do_not_occur_change_nothing() -> None:
    label = LABELS["classes"][0]
    rows = np.array([1, 1, 2], np.int32)
    shares = np.array([0.1, 0.7, 0.2])
    own = make_constant_scorer(shares, {"label": rows}, label)(np.ones(3))
    model = ClassesScorer(rows, np.tile(shares, (3, 1)))(np.ones(3))
    assert own == pytest.approx(model)


def test_rows_without_weight_have_no_constant() -> None:
    with pytest.raises(ModelError, match="no train row with weight"):
        fit_constant(LabelSpec(), np.ones(3), np.zeros(3))


def test_words() -> None:
    words = {kind: describe_constant(label, fit_constant(label, truth, np.ones(300)))
             for kind, (label, truth) in LABELS.items()}  # fmt: skip
    assert words["binary"].startswith("the base rate, 0.")
    assert "always 'y' (0." in words["classes"]
    assert words["multi_label"] == "the share of each of 2 labels"
    assert words["regression"] == "always 5, the mean"
