"""Build an optimizer from the recipe's `train.optimizer`: Keras's, or one with tables by row."""

from collections.abc import Sequence
from typing import Any

import keras

from headrace.distributed.rank.collectives import Collectives
from headrace.recipe import sections as s
from headrace.train.row_optimizer import AnyOptimizer, RowOptimizer


def build_optimizer(
    settings: s.Optimizer,
    precision: str = "float32",
    tables: Sequence[keras.Variable] = (),
    sharded: Sequence[keras.Variable] = (),
    collectives: Collectives | None = None,
) -> AnyOptimizer:
    """Build the optimizer; it is not wrapped by Horovod, for gradients are summed before it.

    It clips first, and thus the global gradient. With float16 arithmetic the loss is scaled, and a
    step whose gradients are not finite is skipped, on all ranks alike.

    Args:
        settings: section of the recipe.
        precision: dtype policy of the layers.
        tables: variables that are updated by row.
        sharded: those of them of which each rank has other rows.
        collectives: the ranks, where there are such.
    """
    options: dict[str, Any] = {
        "learning_rate": settings.learning_rate,
        "global_clipnorm": settings.clip_norm,
        "clipvalue": settings.clip_value,
    }
    if settings.kind == "sgd":
        optimizer = keras.optimizers.SGD(
            momentum=settings.momentum, nesterov=settings.nesterov, **options
        )
    elif settings.kind in ("adagrad", "rowwise_adagrad"):
        optimizer = keras.optimizers.Adagrad(
            initial_accumulator_value=settings.initial_accumulator,
            epsilon=settings.epsilon,
            **options,
        )
    else:
        options |= {
            "beta_1": settings.beta_1,
            "beta_2": settings.beta_2,
            "epsilon": settings.epsilon,
        }
        kinds = {
            "adam": keras.optimizers.Adam,
            "adamw": keras.optimizers.AdamW,
            "lamb": keras.optimizers.Lamb,
        }
        if settings.kind != "adam":
            options["weight_decay"] = settings.weight_decay
        optimizer = kinds[settings.kind](**options)
    if precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    if not tables:
        return optimizer
    return RowOptimizer(optimizer, settings, tables, sharded, collectives)
