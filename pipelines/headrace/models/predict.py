"""Predict batches with a model and collect label and prediction of every row but padding."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager

import keras
import numpy as np
import tensorflow as tf

_ROWS_PER_CALL = 4096


def place_on_cpu() -> AbstractContextManager[None]:
    """Return a context in which TensorFlow computes on the CPU, whatever devices there are."""
    device: AbstractContextManager[None] = tf.device("/CPU:0")
    return device


class Predictor:
    """A model compiled to predict batches, once for all of them."""

    def __init__(self, model: keras.Model) -> None:
        """Compile the prediction.

        Args:
            model: of `build.build_model`; it takes the columns of a batch that it has inputs for.
        """
        self._inputs = [tensor.name for tensor in model.inputs]
        (self._output,) = model.output_names
        signature = {t.name: tf.TensorSpec((None, *t.shape[1:]), t.dtype) for t in model.inputs}

        @tf.function(input_signature=[signature], autograph=False)
        def predict(batch: dict[str, tf.Tensor]) -> tf.Tensor:
            return model(batch, training=False)

        self._predict = predict

    def predict_inputs(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Predict rows that are all in memory, some thousands at a time.

        Args:
            inputs: by name, as the model has them, each of shape (rows, …).

        Returns:
            the model's output, float32 (rows,) or (rows, classes).
        """
        rows = len(next(iter(inputs.values())))
        parts = [
            self._predict({n: inputs[n][i : i + _ROWS_PER_CALL] for n in self._inputs}).numpy()
            for i in range(0, rows, _ROWS_PER_CALL)
        ]
        return np.concatenate(parts)

    def __call__(self, batches: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Predict every row with weight above 0; padding rows have none and are left out.

        Args:
            batches: dicts with the model's inputs, `label`, `weight` and perhaps other columns.

        Returns:
            the model's output under its own name (`probability` float32 (rows,), `probabilities`
            float32 (rows, classes) or `value` float32 (rows,)), `label` (rows,), and every other
            column, in the order of the rows.
        """
        collected: dict[str, list[np.ndarray]] = {}
        for batch in batches:
            is_row = batch["weight"] > 0
            predicted = self._predict({name: batch[name] for name in self._inputs}).numpy()
            columns = {k: v for k, v in batch.items() if k not in self._inputs and k != "weight"}
            for name, column in {self._output: predicted, **columns}.items():
                collected.setdefault(name, []).append(np.asarray(column)[is_row])
        return {name: np.concatenate(parts) for name, parts in collected.items()}
