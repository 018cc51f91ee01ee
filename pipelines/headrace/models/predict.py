"""Run a model over batches and keep label and prediction of the rows that count."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager

import keras
import numpy as np
import tensorflow as tf

_ROWS_A_CALL = 4096


def on_cpu() -> AbstractContextManager[None]:
    """Compute there for the length of the block, whatever else the machine has."""
    device: AbstractContextManager[None] = tf.device("/CPU:0")
    return device


class Predictor:
    """A model compiled to predict batches, once for all of them."""

    def __init__(self, model: keras.Model) -> None:
        """
        Args:
            model: of `build.build_model`; takes what it has inputs for from a batch.
        """
        self._inputs = [tensor.name for tensor in model.inputs]
        (self._output,) = model.output_names
        signature = {t.name: tf.TensorSpec((None, *t.shape[1:]), t.dtype) for t in model.inputs}

        @tf.function(input_signature=[signature], autograph=False)
        def predict(batch: dict[str, tf.Tensor]) -> tf.Tensor:
            return model(batch, training=False)

        self._predict = predict

    def outputs(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The model's output for rows that are all in memory, some thousands at a time.

        Args:
            inputs: by name, as the model has them, each of shape (rows, …).

        Returns:
            float32 (rows,), or (rows, classes).
        """
        rows = len(next(iter(inputs.values())))
        parts = [
            self._predict({n: inputs[n][i : i + _ROWS_A_CALL] for n in self._inputs}).numpy()
            for i in range(0, rows, _ROWS_A_CALL)
        ]
        return np.concatenate(parts)

    def __call__(self, batches: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Predict every row with weight above 0; padding rows are left out.

        Args:
            batches: dicts with the model's inputs, `label`, `weight` and perhaps single columns.

        Returns:
            the model's output under its own name (`probability` float32 (rows,), `probabilities`
            float32 (rows, classes) or `value` float32 (rows,)), `label` (rows,), and every single
            column beside them, in the order the rows came.
        """
        kept: dict[str, list[np.ndarray]] = {}
        for batch in batches:
            there = batch["weight"] > 0
            predicted = self._predict({name: batch[name] for name in self._inputs}).numpy()
            columns = {k: v for k, v in batch.items() if k not in self._inputs and k != "weight"}
            for name, column in {self._output: predicted, **columns}.items():
                kept.setdefault(name, []).append(np.asarray(column)[there])
        return {name: np.concatenate(parts) for name, parts in kept.items()}


def predict_batches(
    model: keras.Model, batches: Iterable[Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Predict once; see `Predictor`."""
    return Predictor(model)(batches)
