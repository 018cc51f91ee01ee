"""The loop where numbers are not finite: no such epoch is the best, no such weights are kept."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from headrace.errors import TrainError
from headrace.train.step import StepResult
from tests.train.rehearsal import STEPS, Rehearsal

NAN = float("nan")


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([NAN, 0.74, 0.61], 2),
        ([0.74, NAN, 0.61], 2),
        ([0.61, 0.74, NAN], 0),
        ([NAN, float("inf"), 0.9], 2),
        ([NAN, NAN, 0.9], 2),
    ],
)
def test_an_epoch_whose_metric_is_not_finite_is_never_the_best(
    validate_as: Callable[..., dict[str, Any]], losses: list[float], best: int
) -> None:
    rehearsal = Rehearsal(epochs=3)
    state = rehearsal.run(**validate_as(loss=losses))
    assert state.best.epoch == best
    assert state.metrics["val_loss"] == losses[best]
    # the weights are those of the best epoch: each step adds one
    assert rehearsal.model.get_weights()[0][0, 0] == STEPS * (best + 1)
    told = [m for m in rehearsal.messages if "not finite" in m]
    assert len(told) == sum(not np.isfinite(value) for value in losses)


def test_early_stopping_counts_epochs_that_are_not_finite_as_no_improvement(
    validate_as: Callable[..., dict[str, Any]],
) -> None:
    rehearsal = Rehearsal(epochs=9, early_stopping={"metric": "loss", "patience": 2})
    state = rehearsal.run(**validate_as(loss=[0.5, NAN, NAN, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]))
    assert (state.epochs_run, state.best.epoch) == (3, 0)


def test_no_finite_epoch_is_an_error_and_not_a_model(
    validate_as: Callable[..., dict[str, Any]],
) -> None:
    rehearsal = Rehearsal(epochs=2)
    with pytest.raises(TrainError, match=r"in none of 2 epochs.*learning_rate"):
        rehearsal.run(**validate_as(loss=[NAN, NAN]))


def test_weights_that_the_last_update_made_nan_are_an_error_without_validation() -> None:
    rehearsal = Rehearsal(epochs=1, compression="fp16", precision="mixed_float16")
    original = rehearsal.run_step

    def break_last(batch: Any, number: int, **options: Any) -> StepResult:
        result = original(batch, number, **options)
        if number == STEPS - 1:  # its loss came before its update
            rehearsal.model.weights[0].assign(np.full((1, 1), NAN))
        return result

    with pytest.raises(TrainError, match=r"after epoch 1 1 of the 1 numbers of dense.*") as caught:
        rehearsal.run(step=break_last)
    assert "train.precision" in str(caught.value)
    assert "train.compression" in str(caught.value)
    assert rehearsal.policy.calls[-1][0] != "epoch"  # no checkpoint was written of it
