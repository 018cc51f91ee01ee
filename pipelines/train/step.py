"""One training step, exact over ranks.

Every rank sums its weighted losses, gradients and weights are summed over ranks in one grouped
allreduce, and the division by the global weight comes last. The update is that of one process with
the whole global batch: padding rows weigh nothing and need no care.
"""

from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from pipelines.distributed.collectives import Collectives
from pipelines.models.build import logits_of
from pipelines.train.losses import row_losses

Step = Callable[[Mapping[str, tf.Tensor]], tuple[tf.Tensor, tf.Tensor]]


def make_train_step(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    collectives: Collectives,
    label_kind: str,
) -> Step:
    """Build the compiled step.

    Args:
        model: of `models.build.build_model`.
        optimizer: built for the model's trainable variables.
        collectives: sums over ranks.
        label_kind: binary, classes or regression; says which loss.

    Returns:
        a function from a rank's batch to the global batch's weighted mean loss (regularization not
        included) and its weight: scalars, the same on every rank. A row weighs `weight`, times
        `sample_weight` where the batch has it.
    """
    network = logits_of(model)
    losses_of = row_losses(label_kind)
    names = [tensor.name for tensor in model.inputs]
    variables = [v.value for v in model.trainable_variables]

    @tf.function(reduce_retracing=True)
    def step(batch: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        weights = batch["weight"]
        if "sample_weight" in batch:
            weights = weights * batch["sample_weight"]
        with tf.GradientTape() as tape:
            logits = network({name: batch[name] for name in names}, training=True)
            weight = tf.reduce_sum(weights)
            loss = tf.reduce_sum(weights * losses_of(batch["label"], logits))
            # Times the rank's weight, so that the division by the global weight gives it once.
            objective = loss + weight * tf.add_n([*network.losses, tf.constant(0.0)])
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(objective, variables)]
        *gradients, loss, weight = collectives.sum([*gradients, loss, weight])
        gradients = [tf.math.divide_no_nan(gradient, weight) for gradient in gradients]
        optimizer.apply(gradients, model.trainable_variables)
        return tf.math.divide_no_nan(loss, weight), weight

    return step
