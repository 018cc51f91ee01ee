"""Run a model over batches and keep label and probability of the rows that count."""

from collections.abc import Iterable, Mapping

import keras
import numpy as np
import tensorflow as tf


def predict_batches(
    model: keras.Model, batches: Iterable[Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Predict every row with weight above 0; padding rows are left out.

    Args:
        model: takes the groups of a batch that it has inputs for.
        batches: dicts with the model's inputs, `label`, `weight` and perhaps single columns.

    Returns:
        `probability` and `label` float32 (rows,), and every single column beside them, in the
        order the rows came.
    """
    names = [tensor.name for tensor in model.inputs]
    signature = {t.name: tf.TensorSpec((None, *t.shape[1:]), t.dtype) for t in model.inputs}

    @tf.function(input_signature=[signature])
    def predict(inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        return model(inputs, training=False)

    kept: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        there = batch["weight"] > 0
        probability = predict({name: batch[name] for name in names}).numpy()
        columns = {k: v for k, v in batch.items() if k not in names and k != "weight"}
        for name, column in {"probability": probability, **columns}.items():
            kept.setdefault(name, []).append(np.asarray(column)[there])
    return {name: np.concatenate(parts) for name, parts in kept.items()}
