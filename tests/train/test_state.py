"""Going back to the last update, for a rank that goes on among others."""

import pytest

from headrace.train.early_stopping import BestEpoch
from headrace.train.state import TrainState


def state(epoch: int, step: int) -> TrainState:
    found = TrainState(BestEpoch(None), epoch=epoch, step=step)
    found.losses = [float(n) for n in range(step)]
    found.weights = [1.0] * step
    return found


@pytest.mark.parametrize(
    ("epoch", "step", "updates", "expected"),
    [
        # seven steps make updates after 3, 6 and 7
        (0, 5, 1, 3),  # gathered since the third step, and lost
        (0, 6, 2, 6),
        (0, 7, 3, 7),
        (2, 4, 7, 3),
        (2, 1, 6, 0),
        (2, 6, 7, 3),  # a device that ran behind made one update less than was asked for
        (9, 0, 12, 0),  # stopped early, after the fourth epoch
    ],
)
def test_rewind(epoch: int, step: int, updates: int, expected: int) -> None:
    found = state(epoch, step)
    found.rewind(updates, steps=7, accumulate=3)
    assert (found.epoch, found.step) == (epoch, expected)
    assert found.losses == [float(n) for n in range(expected)]


def test_updates_count_over_epochs() -> None:
    assert state(0, 0).updates(7, 3) == 0
    assert state(0, 3).updates(7, 3) == 1
    assert state(0, 7).updates(7, 3) == state(1, 0).updates(7, 3) == 3
    assert state(2, 6).updates(7, 3) == 8


def test_metrics_of_epochs_go_with_the_state() -> None:
    found = state(1, 2)
    found.history = [{"train_loss": 0.5}]
    assert TrainState.from_json(found.to_json(), None).history == [{"train_loss": 0.5}]
