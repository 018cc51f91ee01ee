"""Batch normalization over the whole global batch, padding left out.

Keras's own `synchronized=True` knows TensorFlow's strategies alone, and Horovod's layer does not
load on Keras 3. Here the standard layer stays in the model, so that it is saved and loaded as any
other; only where it takes its moments from changes while a step is traced. The moving statistics
are then the same on every rank.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives


class GlobalMoments:
    """Gives a model's batch normalization layers mean and variance over all ranks' rows.

    Two passes, each a sum over ranks: mean, then squared distance from it. Gradients go through
    both (the gradient of a sum over ranks is a sum over ranks).
    """

    def __init__(self, model: keras.Model, collectives: Collectives) -> None:
        self._collectives = collectives
        self._counts: tf.Tensor | None = None
        for layer in _layers(model):
            layer._moments = _MomentsOf(self, layer)

    @contextmanager
    def of_rows(self, weights: tf.Tensor) -> Iterator[None]:
        """While the model is called on a batch: rows count where their weight is above 0.

        Args:
            weights: float32 (batch,).
        """
        self._counts = tf.cast(weights > 0, tf.float32)
        try:
            yield
        finally:
            self._counts = None

    def moments(self, inputs: tf.Tensor, axes: list[int]) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance over all axes but the channels', float32 (channels,)."""
        assert self._counts is not None, "a training call outside of `of_rows`"
        counts = tf.reshape(self._counts, [-1] + [1] * (inputs.shape.rank - 1))
        rows, total = self._collectives.sum(
            [
                tf.reduce_sum(counts) * _places(inputs, axes),
                tf.reduce_sum(inputs * counts, axis=axes),
            ]
        )
        mean = tf.math.divide_no_nan(total, rows)
        (squared,) = self._collectives.sum(
            [tf.reduce_sum(tf.square(inputs - mean) * counts, axis=axes)]
        )
        return mean, tf.math.divide_no_nan(squared, rows)


class _MomentsOf:
    """In place of a layer's own method."""

    def __init__(self, moments: GlobalMoments, layer: keras.layers.BatchNormalization) -> None:
        self._moments, self._axes = moments, list(layer._reduction_axes)

    def __call__(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        return self._moments.moments(inputs, self._axes)


def _places(inputs: tf.Tensor, axes: list[int]) -> tf.Tensor:
    """How often a row counts for a channel: 1, or the pixels of an image."""
    shape = tf.shape(inputs)
    return tf.cast(tf.reduce_prod([shape[axis] for axis in axes if axis]), tf.float32)


def _layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
