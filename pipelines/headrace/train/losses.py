"""The loss of a row by the label's kind: in the graph on logits, and on predictions in NumPy."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

RowLosses = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# Predictions are kept this far from 0 and 1 before the logarithm: the resolution of float32.
_EPSILON = 1e-7


def row_losses(kind: str, label_smoothing: float = 0.0) -> RowLosses:
    """A function of (labels, logits) that gives one loss a row, float32 (batch,).

    binary: sigmoid cross-entropy. classes: softmax cross-entropy of int32 labels. multi_label: the
    mean over labels of sigmoid cross-entropy. regression: squared error in the unit of the label as
    it is trained on.

    Args:
        kind: of the label.
        label_smoothing: share of the label that is spread over all classes (Szegedy et al. 2016,
            arXiv:1512.00567): 1 becomes 1 - share / 2 of a binary label and of each of several,
            0 becomes share / 2.
    """
    if kind == "multi_label":
        of_each = row_losses("binary", label_smoothing)
        return lambda labels, logits: tf.reduce_mean(of_each(labels, logits), axis=-1)
    if label_smoothing and kind == "binary":

        def smooth_binary(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            soft = labels * (1 - label_smoothing) + label_smoothing / 2
            return tf.nn.sigmoid_cross_entropy_with_logits(soft, logits)

        return smooth_binary
    if label_smoothing and kind == "classes":

        def smooth_classes(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            number = logits.shape[-1]
            one = tf.one_hot(labels, number) * (1 - label_smoothing)
            return tf.nn.softmax_cross_entropy_with_logits(one + label_smoothing / number, logits)

        return smooth_classes
    return {
        "binary": tf.nn.sigmoid_cross_entropy_with_logits,
        "classes": tf.nn.sparse_softmax_cross_entropy_with_logits,
        "regression": tf.math.squared_difference,
    }[kind]


def mean_loss(kind: str, predicted: np.ndarray, label: np.ndarray) -> float:
    """The same over predictions, averaged over rows, in float64.

    Args:
        kind: of the label.
        predicted: probability (rows,), probabilities (rows, classes), or value (rows,).
        label: as the dataset has it.
    """
    predicted = predicted.astype(np.float64)
    if kind == "regression":
        return float(np.mean(np.square(predicted - label)))
    if kind == "classes":
        right = predicted[np.arange(len(label)), label]
    else:
        right = np.where(label > 0.5, predicted, 1 - predicted)
    return float(-np.mean(np.log(np.clip(right, _EPSILON, 1 - _EPSILON))))
