"""Bootstrap intervals, and differences of models on the same draws."""

import threading

import numpy as np
import pytest

from headrace.evaluate import bootstrap
from headrace.evaluate.bootstrap import compute_difference, compute_intervals, draw_metrics
from headrace.labels.binary import BinaryScorer
from headrace.labels.classes import ClassesScorer
from headrace.labels.regression import NumberScorer

RANDOM = np.random.default_rng(5)


def make_mean_scorer(values: np.ndarray):
    return lambda weight: {"mean": float(weight @ values / weight.sum())}


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = RANDOM.normal(10, 2, 4000)
    interval = compute_intervals(
        make_mean_scorer(values), np.ones(4000), draws=1000, confidence=0.95, seed=1
    )["mean"]
    expected = 1.96 * values.std() / np.sqrt(4000)
    assert interval.value == pytest.approx(values.mean())
    assert interval.value - interval.low == pytest.approx(expected, rel=0.1)
    assert interval.high - interval.value == pytest.approx(expected, rel=0.1)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    covered = 0
    for trial in range(200):
        values = np.random.default_rng(trial).exponential(1.0, 80)
        intervals = compute_intervals(
            make_mean_scorer(values), np.ones(80), draws=200, confidence=0.9, seed=trial
        )
        covered += intervals["mean"].low <= 1.0 <= intervals["mean"].high
    assert 0.82 <= covered / 200 <= 0.95


def test_equal_seeds_give_equal_intervals() -> None:
    truth = (RANDOM.random(300) < 0.3).astype(float)
    scorer = BinaryScorer(truth, RANDOM.random(300), 0.5)
    first, second = (
        compute_intervals(scorer, np.ones(300), draws=50, confidence=0.95, seed=3) for _ in range(2)
    )
    assert first == second
    assert first != compute_intervals(scorer, np.ones(300), draws=50, confidence=0.95, seed=4)


def test_no_draws_give_no_intervals() -> None:
    assert (
        compute_intervals(make_mean_scorer(np.ones(3)), np.ones(3), draws=0, confidence=0.9, seed=0)
        == {}
    )


def test_a_metric_that_is_rarely_defined_has_no_interval() -> None:
    def score_first_row(weight: np.ndarray) -> dict[str, float]:
        always = {"rows": float(weight.sum())}
        return always if weight[0] == 0 else {**always, "first": 1.0}

    def score_only_all_rows(weight: np.ndarray) -> dict[str, float]:
        return {"all": 1.0} if (weight == 1).all() else {}

    # A row is in 63% of the draws, all rows once in hardly any.
    assert "first" in compute_intervals(
        score_first_row, np.ones(6), draws=100, confidence=0.9, seed=0
    )
    assert (
        compute_intervals(score_only_all_rows, np.ones(6), draws=100, confidence=0.9, seed=0) == {}
    )


def compare_errors(candidate: np.ndarray, champion: np.ndarray, truth: np.ndarray):
    return compute_difference(
        NumberScorer(truth, candidate),
        NumberScorer(truth, champion),
        "mae",
        np.ones(len(truth)),
        higher_is_better=False,
        draws=200,
        confidence=0.95,
        seed=0,
    )


def test_a_model_does_not_differ_from_itself() -> None:
    truth = RANDOM.normal(size=100)
    difference = compare_errors(truth + 1, truth + 1, truth)
    assert difference is not None
    assert (difference.better_by, difference.low, difference.share_worse) == (0, 0, 0)


def test_the_pair_is_drawn_together() -> None:
    # Rows differ much from each other, the models by a constant: only a paired draw sees it.
    truth = RANDOM.normal(0, 100, 200)
    noise = RANDOM.exponential(50, 200)
    difference = compare_errors(truth + noise, truth + noise + 0.5, truth)
    assert difference is not None
    assert difference.better_by == pytest.approx(0.5)
    assert difference.low == pytest.approx(0.5)


def test_lower_is_better_turns_the_sign() -> None:
    truth = RANDOM.normal(size=50)
    difference = compare_errors(truth + 2, truth + 1, truth)
    assert difference is not None
    assert difference.better_by == pytest.approx(-1)
    assert (difference.candidate, difference.champion) == (pytest.approx(2), pytest.approx(1))
    assert difference.share_worse == 1


def test_a_metric_that_is_not_defined_is_not_compare_errors() -> None:
    scorer = BinaryScorer(np.zeros(4), np.linspace(0, 1, 4), 0.5)
    difference = compute_difference(
        scorer, scorer, "roc_auc", np.ones(4),
        higher_is_better=True, draws=10, confidence=0.95, seed=0,
    )  # fmt: skip
    assert difference is None


def test_rows_of_a_list_are_drawn_together() -> None:
    """Ten equal rows of each of 40 lists say as much as one, and not as 400 samples."""
    values = np.repeat(np.random.default_rng(1).normal(size=40), 10)
    lists = np.repeat(np.arange(40) * 3, 10)
    drawn: list[np.ndarray] = []

    def score_mean(weight: np.ndarray) -> dict[str, float]:
        drawn.append(weight)
        return {"mean": float(weight @ values / weight.sum())}

    options = {"draws": 400, "confidence": 0.95, "seed": 1}
    by_list = compute_intervals(score_mean, np.ones(400), **options, lists=lists)["mean"]
    assert all((w.reshape(40, 10) == w[::10, None]).all() for w in drawn)
    assert by_list.high - by_list.low == pytest.approx(2 * 1.96 * values.std() / 40**0.5, rel=0.15)
    by_row = compute_intervals(score_mean, np.ones(400), **options)["mean"]
    assert (by_list.high - by_list.low) / (by_row.high - by_row.low) == pytest.approx(
        10**0.5, rel=0.15
    )


def test_rows_without_a_list_are_drawn_one_by_one() -> None:
    lists = np.array([4, -1, 4, -1])
    seen = set()

    def note_weights(weight: np.ndarray) -> dict[str, float]:
        seen.add(tuple(weight.tolist()))
        return {}

    compute_intervals(note_weights, np.ones(4), draws=50, confidence=0.9, seed=0, lists=lists)
    assert all(w[0] == w[2] for w in seen)
    assert any(w[1] != w[3] for w in seen)


def make_scorers(rows: int) -> list:
    truth, score = RANDOM.random(rows) < 0.3, RANDOM.random(rows)
    classes = RANDOM.dirichlet(np.ones(3), rows)
    return [
        BinaryScorer(truth.astype(float), score, 0.5),
        ClassesScorer(RANDOM.integers(0, 3, rows), classes),
        NumberScorer(RANDOM.normal(size=rows), score),
    ]


@pytest.mark.parametrize("scorer", make_scorers(12_345), ids=lambda s: type(s).__name__)
def test_draws_have_the_same_bits_on_any_number_of_cores(scorer, monkeypatch) -> None:
    weight = RANDOM.choice([0.5, 1.0, 2.0], 12_345)
    lists = np.sort(RANDOM.integers(-1, 500, 12_345))
    drawn = []
    for cores in (1, 2, 7):
        monkeypatch.setattr(bootstrap, "count_cores", lambda cores=cores: cores)
        drawn.append(draw_metrics(scorer, weight, draws=20, seed=4))
        drawn.append(draw_metrics(scorer, weight, draws=20, seed=4, lists=lists))
    assert len(drawn[0].draws) == len(drawn[1].draws) == 20
    assert drawn[0].draws != drawn[1].draws
    assert all(other.draws == drawn[0].draws for other in drawn[::2])
    assert all(other.draws == drawn[1].draws for other in drawn[1::2])
    monkeypatch.setattr(bootstrap, "_ROWS_ALONE", 10**6)
    alone = draw_metrics(scorer, weight, draws=20, seed=4).draws
    for metrics, expected in zip(drawn[0].draws, alone, strict=True):
        assert metrics == pytest.approx(expected, rel=1e-12)


def test_draws_work_on_all_cores_at_a_time_and_few_wait(monkeypatch) -> None:
    monkeypatch.setattr(bootstrap, "count_cores", lambda: 3)
    together = threading.Barrier(3, timeout=20)
    held: set[int] = set()
    most = 0

    def score(weight: np.ndarray) -> dict[str, float]:
        nonlocal most
        held.add(id(weight))
        if threading.current_thread() is not threading.main_thread():
            together.wait()  # breaks unless three draws are scored at a time
        most = max(most, len(held))
        held.discard(id(weight))
        return {"sum": float(weight.sum())}

    drawn = draw_metrics(score, np.ones(20_000), draws=30, seed=0)
    assert [draw["sum"] for draw in drawn.draws] == [20_000.0] * 30
    assert most <= 3


def test_an_error_of_one_draw_is_that_of_all(monkeypatch) -> None:
    monkeypatch.setattr(bootstrap, "count_cores", lambda: 3)

    def fail(weight: np.ndarray) -> dict[str, float]:
        raise ZeroDivisionError("of a draw")

    with pytest.raises(ZeroDivisionError, match="of a draw"):
        draw_metrics(fail, np.ones(20_000), draws=30, seed=0)
