"""Read embedding tables by gathers, so that neither a step nor a prediction costs their size.

Keras's `Embedding` reads its whole variable and takes rows of it. Its gradient is then as large as
the table, and a scatter into a variable that was read like that copies it first. Here the standard
layer stays in the model, so it is saved and loaded as any other; only the method that looks up is
replaced in memory. The gradient of its variable is then a `tf.IndexedSlices` of the batch's size.
"""

from collections.abc import Iterable

import keras
import tensorflow as tf


def list_tables_to_gather(model: keras.Model) -> list[keras.layers.Embedding]:
    """List the embedding layers of a model, nested ones too, that do no more than to look up.

    Layers whose table has a regularizer or a constraint, or is quantized, of low rank or not
    trained, are not among them: they need all rows in every step. Nor are subclasses.
    """
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if type(layer) is keras.layers.Embedding
        and layer.built
        and layer.trainable
        and not layer.embeddings_regularizer
        and not layer.embeddings_constraint
        and not layer.lora_enabled
        and not layer.quantization_mode
    ]


def count_calls(layer: keras.layers.Embedding) -> int:
    """Return how often a layer was called since the last time that it was asked."""
    gather = layer.call
    assert isinstance(gather, _Gather)
    calls, gather.calls = gather.calls, 0
    return calls


def get_first_dimension(layer: keras.layers.Embedding) -> tf.Tensor | None:
    """Return the first dimension of what a layer was called with last, int32.

    None where that was in another graph, such as that of a loop over the steps of a sequence.
    """
    gather = layer.call
    assert isinstance(gather, _Gather)
    size = gather.first_dimension
    is_here = tf.executing_eagerly() or getattr(size, "graph", None) is _get_graph()
    return size if is_here else None


def _get_graph() -> tf.Graph:
    return tf.compat.v1.get_default_graph()


def gather_from_tables(layers: Iterable[keras.layers.Embedding]) -> None:
    """Replace the method with which the layers look up, from now on.

    Args:
        layers: of `list_tables_to_gather`. What they return has the same bits as before.
    """
    for layer in layers:
        layer.call = _Gather(layer)


def get_table(layer: keras.layers.Embedding) -> tf.Variable:
    """Return the variable of a layer's table, which `tf.gather` reads without copying it."""
    return layer._embeddings._value


class _Gather:
    """The function that replaces a layer's own `call` method."""

    def __init__(self, layer: keras.layers.Embedding) -> None:
        # Not `value`, which is a cast of the whole table where layers compute with 16 bits.
        self._table, self._dtype = get_table(layer), layer.compute_dtype
        self.calls = 0
        self.first_dimension: tf.Tensor | None = None

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        self.calls += 1
        ids = inputs if inputs.dtype in (tf.int32, tf.int64) else tf.cast(inputs, tf.int32)
        rows = tf.cast(self._table.shape[0], ids.dtype)
        ids = tf.where(ids < 0, ids + rows, ids)  # as Keras counts from the end
        self.first_dimension = tf.shape(ids)[0] if ids.shape.rank else tf.constant(1)
        return tf.cast(tf.gather(self._table, ids), self._dtype)
