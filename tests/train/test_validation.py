"""Validation metrics by the label's kind, worked out by hand."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from benchmarks.growth import fit_exponent
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
    assert (gathered, others_gathered) == ([[1.0, 0.0, 1.0], [0.75, 0.25, 0.5]], [[], []])
    assert metrics == others_metrics
    assert metrics["loss"] == pytest.approx(-(2 * np.log(0.75) + np.log(0.5)) / 3, abs=1e-12)
    assert (beats, others_beats) == (2, 1)


def validate_rows(
    ranks: int, label: LabelSpec, rows: Mapping[str, np.ndarray], exact_rows: int
) -> list[dict[str, float]]:
    """Return the metrics of each rank, of which rank r has every row r, r + ranks, and so on."""

    def validate_on_rank(collectives: ThreadCollectives) -> dict[str, float]:
        own = {name: values[collectives.rank :: ranks] for name, values in rows.items()}
        predictor: Any = lambda batches: own  # noqa: E731
        stream: Any = RankRows([])
        return validate_split(predictor, stream, collectives, label, exact_rows)

    return run_on_threads(ranks, validate_on_rank)


def make_rows(kind: str, count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    score = random.normal(size=count).astype(np.float32)
    if kind == "classes":
        shares = np.exp(random.normal(size=(count, 3))).astype(np.float32)
        shares /= shares.sum(axis=1, keepdims=True)
        return {"label": random.integers(0, 3, count), "probabilities": shares}
    if kind == "multi_label":
        truth = random.integers(0, 2, (count, 3)).astype(np.float32)
        return {"label": truth, "probabilities": random.random((count, 3)).astype(np.float32)}
    if kind == "binary":
        truth = (score + random.normal(size=count) > 0).astype(np.float32)
        return {"label": truth, "probability": 1 / (1 + np.exp(-score))}
    return {"label": random.poisson(np.exp(score)).astype(np.float32), "value": np.exp(score)}


@pytest.mark.parametrize("kind", ["binary", "classes", "regression", "count", "multi_label"])
def test_more_rows_than_one_rank_holds_have_the_metrics_of_all_rows(kind: str) -> None:
    names = () if kind in ("binary", "regression", "count") else ("a", "b", "c")
    label = LabelSpec(kind=kind, classes=names)
    rows = make_rows(kind, 2000)
    ((exact),) = validate_rows(1, label, rows, 2000)
    alone, *together = (m for n in (1, 2, 3) for m in validate_rows(n, label, rows, 400))
    bound = alone.pop("roc_auc_bound", 0.0)
    assert (0 < bound < 0.01) == (kind == "binary")
    assert {*alone} == {*exact}
    for name, value in exact.items():
        assert alone[name] == pytest.approx(value, abs=bound if name == "roc_auc" else 1e-12)
    for metrics in together:
        metrics.pop("roc_auc_bound", None)
        assert metrics == alone or kind == "multi_label"  # all rows, whose order ranks change


def test_one_prediction_that_is_not_finite_makes_all_metrics_nan_on_every_rank() -> None:
    rows = make_rows("binary", 1000)
    rows["probability"][-1] = np.nan
    for metrics in validate_rows(2, LabelSpec(), rows, 400):
        assert sorted(metrics) == ["accuracy", "loss", "roc_auc"]
        assert np.isnan(list(metrics.values())).all()


def test_one_class_alone_has_no_area_of_many_rows_either() -> None:
    rows = make_rows("binary", 1000)
    rows["label"][:] = 1
    (metrics,) = validate_rows(1, LabelSpec(), rows, 400)
    assert sorted(metrics) == ["accuracy", "loss"]


def test_what_ranks_are_sent_of_each_other_does_not_grow_with_the_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bytes of all collectives together; up to `exact_rows` those of the rows."""
    sizes, sent = [4000, 8000, 16_000, 32_000], []
    exchange = ThreadCollectives._exchange

    def count_bytes(self: ThreadCollectives, value: Any) -> list[Any]:
        parts = value if isinstance(value, list | tuple) else [value]
        sent[-1] += sum(
            int(np.asarray(part).nbytes) for part in parts if not isinstance(part, dict)
        )
        return exchange(self, value)

    monkeypatch.setattr(ThreadCollectives, "_exchange", count_bytes)
    for exact_rows, limits in ((1000, (-0.1, 0.3)), (10**6, (0.8, 1.1))):
        sent.clear()
        for size in sizes:
            sent.append(0)
            validate_rows(2, LabelSpec(), make_rows("binary", size), exact_rows)
        assert limits[0] < fit_exponent(sizes, sent) < limits[1]


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
