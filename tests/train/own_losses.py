"""Losses of a user's own, right and wrong."""

from typing import Any

import tensorflow as tf


def asymmetric(labels: tf.Tensor, outputs: tf.Tensor, late: float = 3.0) -> tf.Tensor:
    """Squared errors, of which those below the label count `late` times."""
    error = labels - outputs
    return tf.where(error > 0, late * error**2, error**2)


def squared_error(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.square(labels - outputs)


def undefined_at_0(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Not defined for labels of 0, as padding has them; nor is the gradient."""
    return outputs**2 / labels


def mean_of_batch(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.square(labels - outputs))


def centered_by_batch(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.square(labels - outputs - tf.reduce_mean(labels - outputs))


def rounded(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(outputs) != labels, tf.float32)


def logarithm(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.math.log(outputs)


def branching(labels: tf.Tensor, outputs: tf.Tensor) -> Any:
    return labels if outputs[0] > 0 else outputs


def root(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Finite, and its slope is not where label and output are the same."""
    return tf.sqrt(tf.abs(labels - outputs) ** 2)


def number(labels: tf.Tensor, outputs: tf.Tensor) -> float:
    return 1.0
