"""A feature that copies the label is suspicious, an honest one is not."""

import numpy as np
import pytest

from headrace.evaluate.leakage import (
    list_strengths,
    measure_feature_strengths,
    measure_strengths,
)
from headrace.features.hash import HashFeature
from headrace.features.scaled import ScaledFeature
from headrace.features.vocabulary import VocabularyFeature
from headrace.labels.spec import LabelSpec
from headrace.recipe import sections as s
from headrace.transform.spec import RawColumn, TransformSpec

ROWS = 4000
RANDOM = np.random.default_rng(11)
RAW = tuple(RawColumn(name=n, kind="real", nullable=True) for n in ("copy", "honest", "gap"))
RAW += tuple(RawColumn(name=n, kind="string", nullable=True) for n in ("id", "word"))
FEATURES = (
    ScaledFeature(name="copy", column="copy"),
    ScaledFeature(name="honest", column="honest"),
    ScaledFeature(name="gap", column="gap", indicator=True),
    HashFeature(name="id", columns=("id",), buckets=50),
    VocabularyFeature(name="word", column="word", values=("a", "b", "c")),
)


def make_inputs(truth: np.ndarray) -> dict[str, np.ndarray]:
    noise = RANDOM.normal(size=ROWS)
    scaled = (truth - truth.mean()) / truth.std()
    gap = truth > np.median(truth) if len(np.unique(truth)) > 5 else truth > 0
    return {
        # `gap` is filled with 0 exactly where the label is positive, and says so beside it
        "numeric": np.stack(
            [scaled, scaled + 1.5 * noise, np.where(gap, 0, noise), gap], axis=1
        ).astype(np.float32),
        "categorical": np.stack(
            [
                np.where(truth > 0, RANDOM.integers(1, 25, ROWS), RANDOM.integers(25, 50, ROWS)),
                RANDOM.integers(0, 5, ROWS),
            ],
            axis=1,
        ).astype(np.int32),
    }


def make_spec(label: LabelSpec) -> TransformSpec:
    return TransformSpec(raw=RAW, derived=(), features=FEATURES, label=label)


@pytest.mark.parametrize("kind", ["binary", "classes"])
def test_copies_are_suspicious(kind: str) -> None:
    truth = (RANDOM.random(ROWS) < 0.3).astype(int)
    classes = ("no", "yes") if kind == "classes" else ()
    spec = make_spec(LabelSpec(kind=kind, classes=classes))
    strengths = {
        f.feature: f
        for f in measure_feature_strengths(make_inputs(truth), truth, spec, s.Leakage())
    }
    suspicious = {name for name, f in strengths.items() if f.is_suspicious}
    assert suspicious == {"copy", "gap", "id"}
    assert strengths["copy"].strength == pytest.approx(1)
    assert strengths["word"].strength < 0.1
    assert 0.2 < strengths["honest"].strength < 0.9


def test_a_copy_of_one_of_several_labels_is_suspicious() -> None:
    one = (RANDOM.random(ROWS) < 0.3).astype(int)
    rare = np.zeros(ROWS, int)
    rare[:4] = 1  # whatever is said of so few rows is chance
    truth = np.stack([RANDOM.random(ROWS) < 0.5, one, rare], axis=1).astype(np.float32)
    spec = make_spec(LabelSpec(kind="multi_label", classes=("other", "one", "rare")))
    strengths = {
        f.feature: f for f in measure_feature_strengths(make_inputs(one), truth, spec, s.Leakage())
    }
    assert {name for name, f in strengths.items() if f.is_suspicious} == {"copy", "gap", "id"}
    assert strengths["copy"].strength == pytest.approx(1)
    assert strengths["word"].strength < 0.1


def test_a_copy_of_a_number_is_suspicious_and_a_near_relative_is_not() -> None:
    truth = RANDOM.normal(5, 3, ROWS)
    spec = make_spec(LabelSpec(kind="regression", center=5.0, scale=3.0))
    strengths = {
        f.feature: f
        for f in measure_feature_strengths(make_inputs(truth), truth, spec, s.Leakage())
    }
    assert {n for n, f in strengths.items() if f.is_suspicious} == {"copy"}


def test_features_that_the_recipe_allows_are_not_suspicious() -> None:
    truth = (RANDOM.random(ROWS) < 0.3).astype(int)
    settings = s.Leakage(allow=["copy", "gap"])
    strengths = measure_feature_strengths(
        make_inputs(truth), truth, make_spec(LabelSpec()), settings
    )
    assert {f.feature for f in strengths if f.is_suspicious} == {"id"}
    assert [f.feature for f in strengths if f.is_allowed] != []
    stricter = measure_feature_strengths(
        make_inputs(truth), truth, make_spec(LabelSpec()), s.Leakage(limit=0.2)
    )
    assert "honest" in {f.feature for f in stricter if f.is_suspicious}


def test_few_rows_have_no_strengths() -> None:
    truth = (RANDOM.random(ROWS) < 0.3).astype(int)
    few = {name: array[:50] for name, array in make_inputs(truth).items()}
    assert measure_feature_strengths(few, truth[:50], make_spec(LabelSpec()), s.Leakage()) == []


def test_noise_is_not_suspicious_because_of_another_feature_called_like_its_columns() -> None:
    truth = (RANDOM.random(ROWS) < 0.3).astype(int)
    names = ("wind", "wind_sin", "wind_missing", "wind_cos")
    spec = TransformSpec(
        raw=tuple(RawColumn(name=n, kind="real", nullable=True) for n in names),
        derived=(),
        features=tuple(ScaledFeature(name=n, column=n) for n in names),
    )
    numbers = RANDOM.normal(size=(ROWS, 4))
    numbers[:, 1] = truth
    strengths = measure_feature_strengths(
        {"numeric": numbers.astype(np.float32)}, truth, spec, s.Leakage()
    )
    assert {item.feature for item in strengths if item.is_suspicious} == {"wind_sin"}


def test_ranks_share_the_features_and_nothing_changes() -> None:
    truth = (RANDOM.random(ROWS) < 0.3).astype(int)
    inputs, spec = make_inputs(truth), make_spec(LabelSpec())
    shares = [measure_strengths(inputs, truth, spec, rank=rank, size=2) for rank in range(2)]
    assert [(share > 0).tolist() for share in shares] == [
        [True, False, True, False, True],
        [False, True, False, True, False],
    ]
    together = list_strengths(sum(shares), ROWS, spec, s.Leakage())
    assert together == measure_feature_strengths(inputs, truth, spec, s.Leakage())
