"""From the recipe's `train.optimizer` to a Keras optimizer."""

import keras

from pipelines.recipe import sections as s


def build_optimizer(settings: s.Optimizer) -> keras.optimizers.Optimizer:
    """Never wrapped by Horovod: gradients are reduced before they reach it."""
    if settings.kind == "sgd":
        return keras.optimizers.SGD(settings.learning_rate, momentum=settings.momentum)
    return keras.optimizers.Adam(settings.learning_rate)
