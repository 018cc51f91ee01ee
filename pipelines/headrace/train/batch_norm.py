"""Normalize batches with the moments of the whole global batch, padding rows left out.

Keras's own `synchronized=True` works with TensorFlow's distribution strategies only, and Horovod's
layer does not load on Keras 3. Here the standard layer stays in the model, so it is saved and
loaded as any other layer; only the method that computes its moments is replaced in memory. The
moving statistics are then the same on every rank.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives


class GlobalMoments:
    """The source of mean and variance for a model's batch normalization layers.

    There are two passes, each a sum over ranks: the mean, then the squared distance from it.
    Gradients go through both (the gradient of a sum over ranks is a sum over ranks).
    """

    def __init__(self, model: keras.Model, collectives: Collectives) -> None:
        """
        Args:
            model: its batch normalization layers take their moments from here from now on.
            collectives: sums over ranks.
        """
        self._collectives = collectives
        self._counts: tf.Tensor | None = None
        for layer in _list_layers(model):
            layer._moments = _LayerMoments(self, layer)

    @contextmanager
    def count_rows(self, weights: tf.Tensor) -> Iterator[None]:
        """Count the rows whose weight is above 0 while the block calls the model on a batch.

        Args:
            weights: float32 (batch,).
        """
        self._counts = tf.cast(weights > 0, tf.float32)
        try:
            yield
        finally:
            self._counts = None

    def compute_moments(self, inputs: tf.Tensor, axes: list[int]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return mean and variance over the axes and over all ranks, float32 (channels,) each.

        Args:
            inputs: float32 (batch, ..., channels) of this rank.
            axes: all axes but that of the channels.
        """
        assert self._counts is not None, "a training call outside of `count_rows`"
        counts = tf.reshape(self._counts, [-1] + [1] * (inputs.shape.rank - 1))
        rows, total = self._collectives.allreduce(
            [
                tf.reduce_sum(counts) * _count_positions(inputs, axes),
                tf.reduce_sum(inputs * counts, axis=axes),
            ]
        )
        mean = tf.math.divide_no_nan(total, rows)
        (squared,) = self._collectives.allreduce(
            [tf.reduce_sum(tf.square(inputs - mean) * counts, axis=axes)]
        )
        return mean, tf.math.divide_no_nan(squared, rows)


class _LayerMoments:
    """The function that replaces a layer's own `_moments` method."""

    def __init__(self, moments: GlobalMoments, layer: keras.layers.BatchNormalization) -> None:
        self._moments, self._axes = moments, list(layer._reduction_axes)

    def __call__(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        return self._moments.compute_moments(inputs, self._axes)


def _count_positions(inputs: tf.Tensor, axes: list[int]) -> tf.Tensor:
    """Return how many values of a channel a row has: 1, or the number of an image's pixels."""
    shape = tf.shape(inputs)
    return tf.cast(tf.reduce_prod([shape[axis] for axis in axes if axis]), tf.float32)


def _list_layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
