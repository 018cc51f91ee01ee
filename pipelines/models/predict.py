"""Run a model over batches and keep label and prediction of the rows that count."""

from collections.abc import Iterable, Mapping

import keras
import numpy as np
import tensorflow as tf


def predict_batches(
    model: keras.Model, batches: Iterable[Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Predict every row with weight above 0; padding rows are left out.

    Args:
        model: of `build.build_model`; takes what it has inputs for from a batch.
        batches: dicts with the model's inputs, `label`, `weight` and perhaps single columns.

    Returns:
        the model's output under its own name (`probability` float32 (rows,), `probabilities`
        float32 (rows, classes) or `value` float32 (rows,)), `label` (rows,), and every single
        column beside them, in the order the rows came.
    """
    inputs = [tensor.name for tensor in model.inputs]
    (output,) = model.output_names
    signature = {t.name: tf.TensorSpec((None, *t.shape[1:]), t.dtype) for t in model.inputs}

    @tf.function(input_signature=[signature])
    def predict(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return model(batch, training=False)

    kept: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        there = batch["weight"] > 0
        predicted = predict({name: batch[name] for name in inputs}).numpy()
        columns = {k: v for k, v in batch.items() if k not in inputs and k != "weight"}
        for name, column in {output: predicted, **columns}.items():
            kept.setdefault(name, []).append(np.asarray(column)[there])
    return {name: np.concatenate(parts) for name, parts in kept.items()}
