"""Which rank is the most advanced, and what the others take from it."""

import keras
import numpy as np
import pytest

from headrace.train.early_stopping import BestEpoch
from headrace.train.elastic import broadcast_state, find_most_advanced_rank
from headrace.train.learning_rate import Plateau
from headrace.train.state import TrainState
from tests.train.ranks_on_threads import ThreadCollectives, run_on_threads


def find_on_threads(*states: TrainState | None, generation: int = 1) -> list[int | None]:
    def find_on_rank(collectives: ThreadCollectives) -> int | None:
        return find_most_advanced_rank(states[collectives.rank], 7, 3, collectives)

    return run_on_threads(len(states), find_on_rank, generation)


def at(epoch: int, step: int, epochs_run: int) -> TrainState:
    return TrainState(BestEpoch(None), epoch=epoch, step=step, epochs_run=epochs_run)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([None, None], None),
        ([None, at(0, 0, 0)], 1),  # initial weights are more than none
        ([at(1, 3, 1), at(1, 6, 1), None], 1),
        ([at(2, 0, 2), at(1, 6, 1)], 0),
        ([at(1, 7, 1), at(2, 0, 2)], 1),  # the same updates, and validated
        ([at(1, 3, 1), at(1, 3, 1)], 0),
    ],
)
def test_the_most_advanced_rank(states: list[TrainState | None], expected: int | None) -> None:
    assert find_on_threads(*states) == [expected] * len(states)


def test_in_the_first_generation_nobody_is_anywhere() -> None:
    assert find_on_threads(at(1, 0, 1), None, generation=0) == [None, None]


def test_all_ranks_adopt_the_state_the_weights_and_the_optimizer_of_one() -> None:
    source = TrainState(
        BestEpoch(None, best=0.25, epoch=2),
        epoch=3,
        step=2,
        losses=[0.5, 0.75],
        weights=[8.0, 6.0],
        best_weights=[np.array([[9.0]])],
        plateau=Plateau(best=0.25, waited=1, reductions=2),
        epochs_run=3,
    )
    models, optimizers = [], []
    for value in (1.0, 5.0):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        model.set_weights([np.array([[value]])])
        optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
        optimizer.build(model.trainable_variables)
        optimizer.variables[-1].assign(np.array([[value / 10]]))
        models.append(model)
        optimizers.append(optimizer)

    def adopt_on_rank(collectives: ThreadCollectives) -> TrainState:
        rank = collectives.rank
        state = source if rank == 1 else None
        return broadcast_state(state, 1, models[rank], optimizers[rank], None, collectives)

    for rank, state in enumerate(run_on_threads(2, adopt_on_rank, generation=1)):
        assert state.to_json() == source.to_json()
        assert state.best_weights is not None
        assert [array.tolist() for array in state.best_weights] == [[[9.0]]]
        assert models[rank].get_weights()[0].tolist() == [[5.0]]
        assert float(optimizers[rank].variables[-1][0][0]) == 0.5
