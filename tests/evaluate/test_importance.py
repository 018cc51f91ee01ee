"""Importance by permutation, of a model whose formula is known."""

import numpy as np
import pytest

from headrace.evaluate.importance import compute_importances, limit_rows, score_permutations
from headrace.features.cyclic import CyclicFeature
from headrace.features.image import ImageFeature
from headrace.features.scaled import ScaledFeature
from headrace.features.vocabulary import VocabularyFeature
from headrace.models.feature_columns import locate_features
from headrace.transform.spec import RawColumn, TransformSpec

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


def measure_error(inputs) -> float:
    guess = 3 * inputs["numeric"][:, 4] + inputs["categorical"][:, 0]
    return float(np.abs(guess - TRUTH).mean())


def test_a_feature_is_all_of_its_columns() -> None:
    assert locate_features(SPEC) == {
        "a": ("numeric", (0, 1)),
        "b": ("numeric", (2, 3)),
        "c": ("numeric", (4,)),
        "d": ("categorical", (0,)),
        "e": ("e", None),
    }


def test_columns_that_are_called_like_a_feature_are_not_its_columns() -> None:
    """Names that begin, end or read like those of other features, in every order of kinds."""
    features = (
        ScaledFeature(name="wind_sin", column="a"),
        VocabularyFeature(name="wind_cos", column="d", values=("x",)),
        ScaledFeature(name="wind", column="b"),
        CyclicFeature(name="wind_sin_sin", column="c", period=1),
        VocabularyFeature(name="wind_", column="d", values=("x",)),
        ScaledFeature(name="wind_missing", column="e", indicator=True),
        ScaledFeature(name="kept_wind", column="a"),
        ScaledFeature(name="raw_wind", column="a"),
    )
    located = locate_features(TransformSpec(raw=SPEC.raw, derived=(), features=features))
    assert located == {
        "wind_sin": ("numeric", (0,)),
        "wind_cos": ("categorical", (0,)),
        "wind": ("numeric", (1,)),
        "wind_sin_sin": ("numeric", (2, 3)),
        "wind_": ("categorical", (1,)),
        "wind_missing": ("numeric", (4, 5)),
        "kept_wind": ("numeric", (6,)),
        "raw_wind": ("numeric", (7,)),
    }
    spec = TransformSpec(raw=SPEC.raw, derived=(), features=features)
    for name, (where, positions) in located.items():
        feature = next(f for f in features if f.name == name)
        columns = [spec.inputs[where].columns[position] for position in positions or ()]
        assert columns == list(feature.dataset_columns)


def test_features_that_the_model_reads_are_important_and_others_are_not() -> None:
    losses = score_permutations(INPUTS, SPEC, measure_error, seed=0)
    importances = compute_importances(SPEC, measure_error(INPUTS), losses, higher_is_better=False)
    assert [item.feature for item in importances][:2] == ["c", "d"]
    # |x - y| of two normal variables with standard deviation 3
    assert importances[0].drop == pytest.approx(3 * 2 / np.sqrt(np.pi), rel=0.1)
    assert {item.drop for item in importances[2:]} == {0}
    opposite = compute_importances(SPEC, 0.0, losses, higher_is_better=True)
    assert opposite[-1].drop == -importances[0].drop


def test_ranks_share_the_features_and_nothing_changes() -> None:
    whole = score_permutations(INPUTS, SPEC, measure_error, seed=0)
    parts = [
        score_permutations(INPUTS, SPEC, measure_error, seed=0, rank=rank, size=3)
        for rank in range(3)
    ]
    assert np.array_equal(sum(parts), whole)
    before = INPUTS["numeric"].copy()
    score_permutations(INPUTS, SPEC, measure_error, seed=1)
    assert np.array_equal(INPUTS["numeric"], before)


@pytest.mark.parametrize(
    ("rows", "features", "expected"),
    [
        (20_000, 100, 20_000),  # the most features that all rows are measured with
        (20_000, 200, 10_000),
        (20_000, 2_000, 1_000),
        (20_000, 1_000_000, 500),  # never fewer
        (300, 1_000_000, 300),
        (20_000, 0, 20_000),
    ],
)
def test_rows_times_features_are_bounded(rows: int, features: int, expected: int) -> None:
    assert limit_rows(rows, features) == expected
