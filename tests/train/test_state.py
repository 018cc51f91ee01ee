"""The progress of a training: rewound to an update, converted to JSON and back, and its arrays."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.errors import TrainError
from headrace.recipe.sections import EarlyStopping
from headrace.train.early_stopping import BestEpoch
from headrace.train.learning_rate import Plateau
from headrace.train.state import TrainState, assign_arrays, collect_arrays, describe_progress


def state(epoch: int, step: int) -> TrainState:
    losses, weights = [float(number) for number in range(step)], [1.0] * step
    return TrainState(BestEpoch(None), epoch=epoch, step=step, losses=losses, weights=weights)


def build_pair(*values: float) -> tuple[keras.Model, keras.optimizers.Optimizer]:
    """Return a model with these weights, and momentum SGD with ten times their values."""
    model = keras.Sequential([keras.Input((len(values),)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array(values)[:, None]])
    optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
    optimizer.build(model.trainable_variables)
    optimizer.variables[-1].assign(10 * np.array(values)[:, None])
    return model, optimizer


@pytest.mark.parametrize(
    ("epoch", "step", "updates", "expected"),
    [
        # seven steps make updates after 3, 6 and 7
        (0, 5, 1, 3),  # accumulated since the third step, and lost
        (0, 6, 2, 6),
        (0, 7, 3, 7),
        (2, 4, 7, 3),
        (2, 1, 6, 0),
        (2, 6, 7, 3),  # a device that ran behind made one update less than it was given
        (9, 0, 12, 0),  # stopped early, after the fourth epoch
    ],
)
def test_rewind(epoch: int, step: int, updates: int, expected: int) -> None:
    rewound = state(epoch, step)
    rewound.rewind_to_update(updates, steps_per_epoch=7, accumulate=3)
    assert (rewound.epoch, rewound.step) == (epoch, expected)
    assert rewound.losses == [float(number) for number in range(expected)]
    assert rewound.weights == [1.0] * expected


def test_updates_count_over_epochs() -> None:
    assert state(0, 0).count_updates(7, 3) == 0
    assert state(0, 3).count_updates(7, 3) == 1
    assert state(0, 7).count_updates(7, 3) == state(1, 0).count_updates(7, 3) == 3
    assert state(2, 6).count_updates(7, 3) == 8


def test_a_state_survives_json_as_a_whole() -> None:
    """Half an epoch, the best epoch, and how long a plateau has lasted."""
    settings = EarlyStopping(metric="roc_auc", patience=5)
    saved = TrainState(
        BestEpoch(settings, best=0.75, epoch=1),
        epoch=3,
        step=2,
        losses=[tf.constant(0.5), 0.25],
        weights=[tf.constant(8.0), 6.0],
        metrics={"val_roc_auc": 0.75},
        plateau=Plateau(best=0.125, waited=1, reductions=2),
        epochs_run=3,
        history=[{"train_loss": 0.5}, {"train_loss": 0.25}, {"train_loss": 0.75}],
        rates=[100.0, 110.0, 120.0],
        waited=1.5,
        worked=30.0,
    )
    restored = TrainState.from_json(json.loads(json.dumps(saved.to_json())), settings)
    assert restored == saved
    assert restored.best == BestEpoch(settings, best=0.75, epoch=1)
    assert restored.plateau == Plateau(best=0.125, waited=1, reductions=2)
    assert (restored.losses, restored.weights) == ([0.5, 0.25], [8.0, 6.0])


def test_the_json_is_a_copy() -> None:
    changing = state(1, 2)
    changing.history = [{"train_loss": 0.5}]
    tree = changing.to_json()
    changing.losses.append(7.0)
    changing.history[0]["train_loss"] = 9.0
    changing.plateau.waited = 4
    assert (tree["losses"], tree["history"]) == ([0.0, 1.0], [{"train_loss": 0.5}])
    assert tree["plateau"]["waited"] == 0


def test_arrays_restore_weights_optimizer_and_the_best_epochs_weights() -> None:
    arrays = collect_arrays(*build_pair(1.0, 2.0), [np.array([[3.0], [4.0]])])
    assert sorted(arrays) == ["b0000", "o0000", "o0001", "o0002", "w0000"]
    model, optimizer = build_pair(0.0, 0.0)
    best_weights = assign_arrays(model, optimizer, arrays, "x.ckpt")
    assert model.get_weights()[0].tolist() == [[1.0], [2.0]]
    assert optimizer.variables[-1].numpy().tolist() == [[10.0], [20.0]]
    assert best_weights is not None
    assert [array.tolist() for array in best_weights] == [[[3.0], [4.0]]]


def test_arrays_are_copies_and_may_lack_a_best_epoch() -> None:
    model, optimizer = build_pair(1.0)
    arrays = collect_arrays(model, optimizer, None)
    model.set_weights([np.array([[5.0]])])
    assert arrays["w0000"].tolist() == [[1.0]]
    assert assign_arrays(model, optimizer, arrays, "x.ckpt") is None
    assert model.get_weights()[0].tolist() == [[1.0]]


def test_arrays_of_another_model_or_optimizer_are_refused() -> None:
    arrays = collect_arrays(*build_pair(1.0, 2.0), None)
    with pytest.raises(TrainError, match=r" model: .* has shape \(2, 1\), expected \(1, 1\)"):
        assign_arrays(*build_pair(1.0), arrays, "x.ckpt")
    model, _ = build_pair(0.0, 0.0)
    adam = keras.optimizers.Adam()
    adam.build(model.trainable_variables)
    with pytest.raises(TrainError, match=r"optimizer: it has 3 variables, expected 4; use"):
        assign_arrays(model, adam, arrays, "x.ckpt")


@pytest.mark.parametrize(
    ("epoch", "step", "epochs_run", "text"),
    [
        (3, 0, 3, "after epoch 3"),
        (3, 2, 3, "in epoch 4 after step 2 of 7"),
    ],
)
def test_progress_in_words(epoch: int, step: int, epochs_run: int, text: str) -> None:
    progress = state(epoch, step)
    progress.epochs_run = epochs_run
    assert describe_progress(progress, 7) == text
