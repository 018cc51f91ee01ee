"""The loop over a step that is replaced: rates, best epoch, early stop, requests, and refusals."""

from collections.abc import Callable

import numpy as np
import pytest

from headrace.errors import PreemptedError, TrainError
from headrace.recipe import sections as s
from headrace.train.early_stopping import BestEpoch
from headrace.train.loop import (
    RanksChangeError,
    _get_followed_metric,
    compute_epoch_loss,
)
from headrace.train.state import TrainState
from tests.train.rehearsal import STEPS, Rehearsal

FIXED = s.FixedRate(kind="fixed")


def test_every_step_gets_its_number_its_rate_and_every_second_one_an_update() -> None:
    schedule = s.StepDecay(kind="step", epochs=[1], factor=0.5)
    rehearsal = Rehearsal(accumulate=2, schedule=schedule)
    state = rehearsal.run()
    assert [step["number"] for step in rehearsal.steps] == list(range(8))
    assert [step["rate"] for step in rehearsal.steps] == pytest.approx([0.1] * 4 + [0.05] * 4)
    assert [step["update"] for step in rehearsal.steps] == [False, True] * 4
    assert (state.epoch, state.step, state.epochs_run) == (2, 0, 2)
    assert rehearsal.policy.calls == [
        ("update", 0, 2), ("update", 0, 4), ("epoch", 1, False),
        ("update", 1, 2), ("update", 1, 4), ("epoch", 2, True),
    ]  # fmt: skip


def test_the_last_step_of_an_epoch_makes_an_update_of_what_is_left() -> None:
    rehearsal = Rehearsal(accumulate=3, epochs=1)
    rehearsal.run()
    assert [step["update"] for step in rehearsal.steps] == [False, False, True, True]


def test_half_an_epoch_is_continued_with_its_losses() -> None:
    """Steps of equal weight with losses 1, 2, and then 3 and 6."""
    rehearsal = Rehearsal(epochs=1)
    rehearsal.losses = lambda number: {2: 3.0, 3: 6.0}[number]
    state = TrainState(BestEpoch(None), step=2, losses=[1.0, 2.0], weights=[8.0, 8.0])
    rehearsal.run(state)
    assert [step["number"] for step in rehearsal.steps] == [2, 3]
    ((epoch, metrics),) = rehearsal.epochs
    assert (epoch, metrics["train_loss"]) == (0, 3.0)
    assert state.history == [metrics]


def test_every_epoch_has_the_loss_of_its_own_steps() -> None:
    rehearsal = Rehearsal()
    rehearsal.losses = float
    state = rehearsal.run()
    assert [metrics["train_loss"] for _, metrics in rehearsal.epochs] == [1.5, 5.5]
    assert (state.losses, state.weights) == ([], [])


def test_the_model_ends_with_the_weights_of_the_best_epoch(validate_as: Callable) -> None:
    rehearsal = Rehearsal(epochs=3)
    state = rehearsal.run(**validate_as(loss=[0.9, 0.5, 0.7]))
    assert (state.best.epoch, state.best.best) == (1, 0.5)
    assert state.metrics["val_loss"] == 0.5
    assert rehearsal.weight == 2 * STEPS
    assert rehearsal.messages[-1] == "epoch 3 of 3: train_loss 0.5, val_loss 0.7"


def test_a_loss_of_batches_replaces_that_of_rows(validate_as: Callable) -> None:
    """As of a two-tower model; what has no positive row has no loss that could be followed."""
    rehearsal = Rehearsal(epochs=3, early_stopping=s.EarlyStopping(metric="loss", patience=3))
    values = iter([0.5, 0.25, 0.75])
    state = rehearsal.run(
        **validate_as(loss=[0.1, 0.2, 0.3]), measure_loss=lambda stream: {"loss": next(values)}
    )
    assert (state.best.epoch, state.metrics["val_loss"]) == (1, 0.25)
    with pytest.raises(TrainError, match="not defined on a validation split"):
        rehearsal.run(**validate_as(loss=[0.1]), measure_loss=lambda stream: {})


def test_a_best_epoch_before_the_resume_is_still_the_best(validate_as: Callable) -> None:
    rehearsal = Rehearsal(epochs=3)
    state = TrainState(BestEpoch(None, best=0.25, epoch=0), epoch=1, epochs_run=1)
    state.best_weights = [np.full((1, 1), 7.0)]
    rehearsal.run(state, **validate_as(loss=[0.5, 0.7]))
    assert state.best.epoch == 0
    assert rehearsal.weight == 7.0


def test_without_validation_the_last_epoch_is_the_best() -> None:
    rehearsal = Rehearsal(epochs=3)
    assert rehearsal.run().best.epoch == 2
    assert rehearsal.weight == 3 * STEPS


def test_early_stopping_ends_the_training(validate_as: Callable) -> None:
    rehearsal = Rehearsal(epochs=9, early_stopping=s.EarlyStopping(metric="roc_auc", patience=2))
    values = validate_as(loss=[0.1] * 4, roc_auc=[0.6, 0.7, 0.7, 0.6])
    state = rehearsal.run(**values)
    assert (state.epochs_run, state.epoch, state.step, state.best.epoch) == (4, 4, 0, 1)
    assert state.is_ended
    assert rehearsal.policy.calls[-2:] == [("epoch", 4, True), ("best", 1)]
    assert rehearsal.weight == 2 * STEPS


def test_a_plateau_lowers_the_rate_of_the_next_epoch(validate_as: Callable) -> None:
    schedule = s.ReduceOnPlateau(kind="plateau", factor=0.5, patience=1)
    rehearsal = Rehearsal(epochs=3, schedule=schedule)
    rehearsal.run(**validate_as(loss=[0.5, 0.6, 0.7]))
    rates = [step["rate"] for step in rehearsal.steps]
    assert rates == pytest.approx([0.1] * 8 + [0.05] * 4)
    assert "plateau: learning rate 0.05 from epoch 3 on" in rehearsal.messages


def test_the_rate_that_a_plateau_reports_is_that_of_the_next_step(validate_as: Callable) -> None:
    """Still in the warm-up over 16 steps: step 8 has 9/16 of the rate."""
    schedule = s.ReduceOnPlateau(kind="plateau", patience=1, warmup_epochs=4)
    rehearsal = Rehearsal(epochs=3, schedule=schedule)
    rehearsal.run(**validate_as(loss=[0.5, 0.6, 0.4]))
    assert "plateau: learning rate 0.0563 from epoch 3 on" in rehearsal.messages
    assert rehearsal.steps[8]["rate"] == pytest.approx(0.1 * 9 / 16)


def test_a_rank_that_is_asked_to_stop_says_so_in_its_flag() -> None:
    rehearsal = Rehearsal(epochs=1)
    rehearsal.run()
    assert {step["request"] for step in rehearsal.steps} == {0.0}
    stopping = Rehearsal(epochs=1)
    stopping.should_stop = True
    stopping.run()
    assert {step["request"] for step in stopping.steps} == {1.0}


def test_all_ranks_stop_an_update_after_one_is_asked_to() -> None:
    rehearsal = Rehearsal()
    rehearsal.requests = lambda number: float(number == 1)
    with pytest.raises(
        PreemptedError, match="asked to stop; a checkpoint was written after step 3"
    ):
        rehearsal.run()
    assert rehearsal.policy.calls == [("update", 0, 1), ("update", 0, 2), ("last", 0, 3)]


def test_all_ranks_leave_together_where_their_number_is_to_change() -> None:
    """A stop of one of them counts more: the flag of a change is far above any number of ranks."""
    rehearsal = Rehearsal()
    rehearsal.collectives.is_change_requested = lambda: True  # type: ignore[method-assign]
    rehearsal.requests = lambda number: rehearsal.steps[-1]["request"]
    with pytest.raises(RanksChangeError):
        rehearsal.run()
    assert len(rehearsal.steps) == 2
    rehearsal.should_stop = True
    with pytest.raises(PreemptedError):
        rehearsal.run()


def test_rows_that_no_other_rank_has_are_written_before_ranks_change() -> None:
    rehearsal = Rehearsal()
    rehearsal.collectives.is_change_requested = lambda: True  # type: ignore[method-assign]
    rehearsal.requests = lambda number: rehearsal.steps[-1]["request"]
    with pytest.raises(RanksChangeError):
        rehearsal.run()
    assert rehearsal.policy.calls == [("update", 0, 1), ("change", 0, 2)]


def test_a_checkpoint_that_rank_0_asks_for_is_written_by_all_one_update_later() -> None:
    """It goes with the updates alone, and is no request to stop, nor one to change."""
    rehearsal = Rehearsal(accumulate=2, epochs=1)
    rehearsal.policy.request = 0.25
    rehearsal.requests = lambda number: rehearsal.steps[-1]["request"]
    rehearsal.run()
    assert [step["request"] for step in rehearsal.steps] == [0.0, 0.25, 0.0, 0.25]
    assert rehearsal.policy.calls == [
        ("update", 0, 2), ("update", 0, 4, "asked"), ("epoch", 1, True),
    ]  # fmt: skip


def test_steps_are_logged_every_so_many() -> None:
    rehearsal = Rehearsal(epochs=3)
    rehearsal.run(log_every=5)
    assert rehearsal.logged_steps == [5, 10]


def test_a_stream_that_ends_too_early_is_an_error() -> None:
    with pytest.raises(TrainError, match="epoch 1: the stream ended after 3 of 4 planned steps"):
        Rehearsal().run(batches=iter([{}] * 3))


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    rehearsal = Rehearsal()
    rehearsal.losses = lambda number: float("nan") if number == 1 else 0.5
    with pytest.raises(TrainError, match=r"the loss is nan in epoch 1.*learning_rate"):
        rehearsal.run()


def test_a_metric_that_is_not_defined_is_an_error_and_never_the_loss_instead() -> None:
    with pytest.raises(TrainError, match="labels of one class only"):
        _get_followed_metric({"val_loss": 0.5, "train_loss": 0.4}, "roc_auc", "early_stopping")
    assert _get_followed_metric({"val_loss": 0.5, "val_roc_auc": 0.7}, "roc_auc", "schedule") == 0.7


@pytest.mark.parametrize(
    ("losses", "weights", "expected"),
    [
        ([0.5, 0.9], [8.0, 8.0], 0.7),
        ([0.5, 0.9], [6.0, 2.0], 0.6),  # a short last step counts as much as it has rows
        ([0.5, 0.0], [4.0, 0.0], 0.5),  # a step of rows without weight counts nothing
    ],
)
def test_the_epochs_loss_is_the_mean_over_rows(
    losses: list[float], weights: list[float], expected: float
) -> None:
    loss = compute_epoch_loss(np.array(losses), np.array(weights))
    assert loss == pytest.approx(expected, abs=1e-12)


def test_an_epoch_in_which_no_row_weighs_anything_is_refused() -> None:
    with pytest.raises(TrainError, match=r"sample weight 0.*label\.sample_weight"):
        compute_epoch_loss(np.zeros(3), np.zeros(3))
