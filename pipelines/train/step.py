"""One training step, exact over ranks.

Every rank sums its weighted losses, gradients and weights are summed over ranks in one grouped
allreduce, and the division by the global weight comes last. The update is that of one process with
the whole global batch: padding rows weigh nothing and need no care.
"""

from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from pipelines.distributed.collectives import Collectives
from pipelines.models.build import logits_of

Step = Callable[[Mapping[str, tf.Tensor]], tf.Tensor]


def make_train_step(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, collectives: Collectives
) -> Step:
    """Build the compiled step.

    Args:
        model: ends in a sigmoid over the layer named `logits`.
        optimizer: built for the model's trainable variables.
        collectives: sums over ranks.

    Returns:
        a function from a rank's batch to the global batch's weighted mean loss (a scalar, the same
        on every rank; regularization not included).
    """
    network = logits_of(model)
    names = [tensor.name for tensor in model.inputs]
    variables = [v.value for v in model.trainable_variables]

    @tf.function(reduce_retracing=True)
    def step(batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = network({name: batch[name] for name in names}, training=True)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=batch["label"], logits=logits)
            weight = tf.reduce_sum(batch["weight"])
            loss = tf.reduce_sum(batch["weight"] * losses)
            # Times the rank's weight, so that the division by the global weight gives it once.
            objective = loss + weight * tf.add_n([*network.losses, tf.constant(0.0)])
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(objective, variables)]
        *gradients, loss, weight = collectives.sum([*gradients, loss, weight])
        gradients = [tf.math.divide_no_nan(gradient, weight) for gradient in gradients]
        optimizer.apply(gradients, model.trainable_variables)
        return tf.math.divide_no_nan(loss, weight)

    return step


def log_loss(probability: np.ndarray, label: np.ndarray) -> float:
    """Mean binary cross-entropy in float64, probabilities kept 1e-7 away from 0 and 1."""
    p = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(label > 0.5, np.log(p), np.log1p(-p))))
