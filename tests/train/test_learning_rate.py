"""Rates by hand: 10 steps an epoch, 4 epochs, base 0.1."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.recipe import sections as s
from headrace.train.learning_rate import LearningRate, Plateau, make_learning_rate
from tests.tiny import tiny_recipe


def rate(settings: s.Schedule, ranks: int = 1) -> LearningRate:
    return LearningRate(settings, base=0.1, ranks=ranks, steps_per_epoch=10, epochs=4)


@pytest.mark.parametrize(
    ("settings", "step", "expected"),
    [
        (s.FixedRate(kind="fixed"), 39, 0.1),
        (s.StepDecay(kind="step", epochs=[1, 3], factor=0.1), 9, 0.1),
        (s.StepDecay(kind="step", epochs=[1, 3], factor=0.1), 10, 0.01),
        (s.StepDecay(kind="step", epochs=[1, 3], factor=0.1), 30, 0.001),
        (s.ExponentialDecay(kind="exponential", factor=0.25), 0, 0.1),
        (s.ExponentialDecay(kind="exponential", factor=0.25), 5, 0.05),
        (s.ExponentialDecay(kind="exponential", factor=0.25), 20, 0.1 / 16),
        (s.CosineDecay(kind="cosine"), 0, 0.1),
        (s.CosineDecay(kind="cosine"), 20, 0.05),
        (s.CosineDecay(kind="cosine", final=0.2), 40, 0.02),
        (s.CosineDecay(kind="cosine"), 400, 0.0),
        (s.PolynomialDecay(kind="polynomial"), 10, 0.075),
        (s.PolynomialDecay(kind="polynomial", power=2.0), 20, 0.025),
        (s.PolynomialDecay(kind="polynomial", final=0.5), 40, 0.05),
        # the first of 5 warm-up steps is a fifth of the way; the decay begins after the last
        (s.FixedRate(kind="fixed", warmup_epochs=0.5), 0, 0.02),
        (s.FixedRate(kind="fixed", warmup_epochs=0.5), 4, 0.1),
        (s.CosineDecay(kind="cosine", warmup_epochs=2), 30, 0.05),
        (s.StepDecay(kind="step", epochs=[3], factor=0.1, warmup_epochs=1), 29, 0.1),
        (s.StepDecay(kind="step", epochs=[3], factor=0.1, warmup_epochs=1), 30, 0.01),
    ],
)
def test_rates(settings: s.Schedule, step: int, expected: float) -> None:
    assert rate(settings).compute_rate(step) == pytest.approx(expected, abs=1e-12)


def test_ranks_change_the_rate_only_where_that_is_asked_for() -> None:
    assert rate(s.FixedRate(kind="fixed"), ranks=8).compute_rate(0) == pytest.approx(0.1)
    scaled = rate(s.FixedRate(kind="fixed", scale_by_ranks=True, warmup_epochs=1), ranks=8)
    # from the rate of one rank to that of eight
    assert scaled.compute_rate(4) == pytest.approx(0.1 + 0.7 * 0.5)
    assert scaled.compute_rate(9) == scaled.compute_rate(25) == pytest.approx(0.8)


def test_a_plateau_lowers_the_rate_down_to_a_limit() -> None:
    settings = s.ReduceOnPlateau(kind="plateau", factor=0.5, patience=2, lowest=0.2)
    state = Plateau()
    #                             best  wait   lower        best again
    lowered = [state.record_value(v, settings) for v in [1.0, 1.0, 1.1, 0.9, 0.95, 0.9, 0.8]]
    assert lowered == [False, False, True, False, False, True, False]
    rates = [rate(settings).compute_rate(0, n) for n in range(4)]
    assert rates == pytest.approx([0.1, 0.05, 0.025, 0.02])


def test_a_plateau_of_a_metric_that_is_to_be_large() -> None:
    settings = s.ReduceOnPlateau(
        kind="plateau", metric="roc_auc", factor=0.1, patience=1, min_delta=0.01
    )
    state = Plateau()
    assert [state.record_value(v, settings) for v in [0.5, 0.6, 0.605, 0.7]] == [
        False,
        False,
        True,
        False,
    ]


def test_the_rate_of_a_recipe(tmp_path: Path) -> None:
    recipe = tiny_recipe(
        tmp_path, "train.epochs=4", "train.optimizer.learning_rate=0.1",
        "train.schedule={kind: cosine, scale_by_ranks: true}",
    )  # fmt: skip
    ranks: Any = SimpleNamespace(size=8)
    train: Any = SimpleNamespace(steps=10)
    learning_rate = make_learning_rate(recipe, ranks, train)
    assert learning_rate.peak == pytest.approx(0.8)
    assert learning_rate.compute_rate(20) == pytest.approx(0.4)  # half-way of 40 steps


def test_warm_up_is_counted_in_whole_steps() -> None:
    assert rate(s.FixedRate(kind="fixed", warmup_epochs=0.25)).warmup_steps == 2
    assert rate(s.FixedRate(kind="fixed", warmup_epochs=1.5)).warmup_steps == 15


def test_a_plateau_begins_with_the_first_finite_value() -> None:
    nan = float("nan")
    settings = s.ReduceOnPlateau(kind="plateau", patience=2)
    plateau = Plateau()
    lowered = [plateau.record_value(v, settings) for v in (nan, 0.5, 0.4, nan, 0.45, 0.3)]
    assert lowered == [False, False, False, False, True, False]
    assert plateau.best == 0.3
