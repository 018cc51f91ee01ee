"""Tables that are not read row by row of a batch alone: steps are those of dense tables."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.recipe import sections as s
from headrace.train import tables
from headrace.train.optimizer import build_optimizer
from headrace.train.step import TrainStep
from headrace.train.step_options import StepOptions
from headrace.train.tables import choose_table_training, list_row_variables

ROWS, LENGTH, WORDS = 32, 6, 4000


class TiedHead(keras.layers.Layer):
    """Scores a vector against all rows of an embedding, which it reads as a whole."""

    def __init__(self, table: keras.layers.Embedding, **options: Any) -> None:
        super().__init__(**options)
        self.table = table

    def call(self, vector: Any) -> Any:
        return keras.ops.mean(
            keras.ops.matmul(vector, keras.ops.transpose(self.table.embeddings)), 1
        )


def add_head(ids: keras.KerasTensor, logits: keras.KerasTensor) -> keras.Model:
    logits = keras.layers.Reshape((), name="logits")(logits)
    output = keras.layers.Activation("sigmoid", name="probability")(logits)
    return keras.Model(ids, output)


def build_tied() -> keras.Model:
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    table = keras.layers.Embedding(WORDS, 4, name="words")
    vector = keras.layers.GlobalAveragePooling1D()(table(ids))
    score = TiedHead(table)(vector)
    return add_head(ids, keras.ops.expand_dims(score, 1) + keras.layers.Dense(1)(vector))


def build_twice() -> keras.Model:
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    table = keras.layers.Embedding(WORDS, 4, name="words")
    both = keras.layers.Concatenate()([table(ids[:, 0]), table(ids[:, 1]), table(ids[:, 0])])
    return add_head(ids, keras.layers.Dense(1)(both))


def build_with_positions() -> keras.Model:
    """The position's table is read by as many ids as the text is long, whatever the batch."""
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    words = keras.layers.Embedding(WORDS, 4, name="words")(ids)
    places = keras.ops.arange(LENGTH, dtype="int32") + 0 * ids[0]
    positions = keras.layers.Embedding(WORDS, 4, name="positions")(places)
    flat = keras.layers.Flatten()(words * (1 + keras.ops.expand_dims(positions, 0)))
    return add_head(ids, keras.layers.Dense(1)(flat))


def build_unused() -> keras.Model:
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    flat = keras.layers.Flatten()(keras.layers.Embedding(WORDS, 4, name="words")(ids))
    zero = 0.0 * keras.layers.Dense(1)(flat)
    last = keras.layers.Dense(1)(keras.ops.cast(ids, "float32") / WORDS)
    return add_head(ids, last + keras.ops.stop_gradient(zero))


def train(
    build: Callable[[], keras.Model], optimizer: dict[str, Any], *, sparse: bool, **options: Any
) -> tuple[list[np.ndarray], list[float]]:
    keras.utils.set_random_seed(1)
    model = build()
    settings = s.Train.model_validate({"optimizer": optimizer, "global_batch_size": ROWS})
    chosen = choose_table_training(model, settings) if sparse else []
    if sparse:
        assert all(table.is_sparse for table in chosen)
        assert chosen
    trained = build_optimizer(settings.optimizer, tables=list_row_variables(chosen))
    trained.build(model.trainable_variables)
    step = TrainStep(model, trained, SoloCollectives(), "binary", StepOptions(**options), chosen)
    rng = np.random.default_rng(0)
    losses = []
    for number in range(6):
        batch = {
            "ids": tf.constant(rng.zipf(1.3, (ROWS, LENGTH)) % WORDS, tf.int32),
            "label": tf.constant(rng.integers(0, 2, ROWS), tf.float32),
            "weight": tf.ones(ROWS),
        }
        update = (number + 1) % options.get("accumulate", 1) == 0
        rate = settings.optimizer.learning_rate
        losses.append(float(step(batch, number, rate=rate, update=update).loss))
    return [np.array(variable.numpy()) for variable in model.weights], losses


@pytest.mark.parametrize("build", [build_tied, build_twice, build_with_positions, build_unused])
@pytest.mark.parametrize("options", [{}, {"shards": 8}, {"shards": 16, "accumulate": 2}])
@pytest.mark.parametrize("optimizer", [{"kind": "sgd", "learning_rate": 0.5}, {"kind": "adagrad"}])
def test_steps_are_those_of_dense_tables(
    build: Callable[[], keras.Model],
    optimizer: dict[str, Any],
    options: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if build is build_with_positions:  # as if its table were read as any other
        monkeypatch.setattr(tables, "_count_ids_per_row", lambda layer: 1)
    weights, losses = train(build, optimizer, sparse=True, **options)
    dense_weights, dense_losses = train(build, optimizer, sparse=False, **options)
    np.testing.assert_allclose(losses, dense_losses, rtol=1e-5)
    for own, expected in zip(weights, dense_weights, strict=True):
        np.testing.assert_allclose(own, expected, atol=1e-6)
