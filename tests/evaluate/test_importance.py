"""Importance by permutation, of a model that is known."""

import numpy as np
import pytest

from headrace.evaluate.importance import importances, losses_of, places_of
from headrace.transform.spec import (
    CyclicFeature,
    ImageFeature,
    RawColumn,
    ScaledFeature,
    TransformSpec,
    VocabularyFeature,
)

SPEC = TransformSpec(
    raw=tuple(RawColumn(name=n, kind="real", nullable=True) for n in "abcde"),
    derived=(),
    features=(
        ScaledFeature(name="a", column="a", indicator=True),
        CyclicFeature(name="b", column="b", period=24),
        ScaledFeature(name="c", column="c"),
        VocabularyFeature(name="d", column="d", values=("x", "y")),
        ImageFeature(name="e", column="e", height=1, width=2, channels=1),
    ),
)
ROWS = 500
RANDOM = np.random.default_rng(2)
INPUTS = {
    "numeric": RANDOM.normal(size=(ROWS, 5)).astype(np.float32),
    "categorical": RANDOM.integers(0, 4, (ROWS, 1)).astype(np.int32),
    "e": RANDOM.integers(0, 256, (ROWS, 1, 2, 1)).astype(np.uint8),
}
TRUTH = 3 * INPUTS["numeric"][:, 4] + INPUTS["categorical"][:, 0]


def mae(changed) -> float:
    guess = 3 * changed["numeric"][:, 4] + changed["categorical"][:, 0]
    return float(np.abs(guess - TRUTH).mean())


def test_a_feature_is_all_of_its_columns() -> None:
    assert places_of(SPEC) == {
        "a": ("numeric", (0, 1)),
        "b": ("numeric", (2, 3)),
        "c": ("numeric", (4,)),
        "d": ("categorical", (0,)),
        "e": ("e", None),
    }


def test_what_the_model_reads_matters_and_the_rest_does_not() -> None:
    losses = losses_of(INPUTS, SPEC, mae, seed=0)
    found = importances(SPEC, mae(INPUTS), losses, higher_is_better=False)
    assert [item.feature for item in found][:2] == ["c", "d"]
    # |x - y| of two normal variables with standard deviation 3
    assert found[0].loss == pytest.approx(3 * 2 / np.sqrt(np.pi), rel=0.1)
    assert {item.loss for item in found[2:]} == {0}
    turned = importances(SPEC, 0.0, losses, higher_is_better=True)
    assert turned[-1].loss == -found[0].loss


def test_ranks_share_the_features_and_nothing_changes() -> None:
    whole = losses_of(INPUTS, SPEC, mae, seed=0)
    parts = [losses_of(INPUTS, SPEC, mae, seed=0, share=(rank, 3)) for rank in range(3)]
    assert np.array_equal(sum(parts), whole)
    before = INPUTS["numeric"].copy()
    losses_of(INPUTS, SPEC, mae, seed=1)
    assert np.array_equal(INPUTS["numeric"], before)
