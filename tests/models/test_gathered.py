"""Tables that are read by gathers give the same output, and gradients of the batch's size."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.models.gathered import count_calls, gather_from_tables, list_tables_to_gather

IDS = np.array([[1, 4], [0, 4], [6, 1]], np.int32)


def build(**options: Any) -> keras.Model:
    """Return a model that looks ids up in a table, one column after the other."""
    inputs = keras.Input((2,), dtype="int32", name="ids")
    table = keras.layers.Embedding(7, 3, name="table", **options)
    tensor = keras.layers.Concatenate()([table(inputs[:, 0]), table(inputs[:, 1])])
    return keras.Model(inputs, keras.layers.Dense(1)(tensor))


def differentiate(model: keras.Model) -> tuple[np.ndarray, list[Any]]:
    with tf.GradientTape() as tape:
        output = model(IDS, training=True)
        loss = tf.reduce_sum(tf.square(tf.cast(output, tf.float32)))
    return output.numpy(), tape.gradient(loss, [v.value for v in model.trainable_variables])


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("nested", [False, True])
def test_output_and_gradients_are_those_of_keras(precision: str, nested: bool) -> None:
    keras.config.set_dtype_policy(precision)
    try:
        model = build()
        if nested:
            inputs = keras.Input((2,), dtype="int32")
            model = keras.Model(inputs, model(inputs))
    finally:
        keras.config.set_dtype_policy("float32")
    output, gradients = differentiate(model)
    (layer,) = list_tables_to_gather(model)
    gather_from_tables([layer])
    gathered_output, gathered_gradients = differentiate(model)
    np.testing.assert_array_equal(gathered_output, output)
    position = next(i for i, v in enumerate(model.trainable_variables) if v is layer.embeddings)
    slices = gathered_gradients[position]
    assert isinstance(slices, tf.IndexedSlices)
    assert slices.indices.shape == (6,)  # three rows of two ids, and not seven of the table
    for own, expected in zip(gathered_gradients, gradients, strict=True):
        np.testing.assert_allclose(
            tf.convert_to_tensor(own), tf.convert_to_tensor(expected), rtol=1e-2, atol=1e-3
        )
    assert count_calls(layer) == 2
    assert count_calls(layer) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"embeddings_regularizer": "l2"},
        {"embeddings_constraint": "non_neg"},
        {"trainable": False},
        {"lora_rank": 1},
    ],
)
def test_tables_of_which_a_step_needs_every_row_are_left_to_keras(options: dict[str, Any]) -> None:
    assert list_tables_to_gather(build(**options)) == []


def test_a_layer_of_the_users_own_is_left_to_keras() -> None:
    class Doubled(keras.layers.Embedding):
        def call(self, inputs: Any) -> Any:
            return 2 * super().call(inputs)

    inputs = keras.Input((2,), dtype="int32")
    assert list_tables_to_gather(keras.Model(inputs, Doubled(7, 3)(inputs))) == []


def test_ids_below_zero_count_from_the_end_as_before() -> None:
    inputs = keras.Input((2,), dtype="int32")
    table = keras.layers.Embedding(7, 3)
    model = keras.Model(inputs, keras.layers.Flatten()(table(inputs - 1)))
    before = model(IDS).numpy()
    gather_from_tables(list_tables_to_gather(model))
    np.testing.assert_array_equal(model(IDS).numpy(), before)


def test_padding_is_masked_as_before() -> None:
    inputs = keras.Input((2,), dtype="int32")
    table = keras.layers.Embedding(7, 3, mask_zero=True)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(table(inputs)))
    before = model(IDS).numpy()
    gather_from_tables(list_tables_to_gather(model))
    np.testing.assert_array_equal(model(IDS).numpy(), before)
