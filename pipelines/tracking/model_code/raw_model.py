"""MLflow model from code: raw rows in a pandas frame to predictions, over a SavedModel.

MLflow stores this file inside the model and runs it there. It stands alone on purpose: loading a
model needs mlflow, TensorFlow, NumPy and pandas, and neither Headrace nor Spark.
"""

import json
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import mlflow
import numpy as np
import pandas as pd

# One encoding of "missing" a dtype, as the graph expects it (pipelines/transform/graph.py).
MISSING_INTEGER = -(2**63)
MISSING_STRING = b"\xff"
# Rows a call of the graph, which bounds the memory of a prediction over many rows.
ROWS_A_CALL = 65_536


class RawModel(mlflow.pyfunc.PythonModel):
    """Predicts `probability` (float64) and `prediction` (0 or 1) for every raw row."""

    def load_context(self, context):
        tf = _import_tensorflow()
        self._model = tf.saved_model.load(context.artifacts["saved_model"])
        self._serve = self._model.signatures["serve"]
        _, inputs = self._serve.structured_input_signature
        with open(context.artifacts["transform"], encoding="utf-8") as file:  # noqa: PTH123
            columns = [column["name"] for column in json.load(file)["raw"]]
        # Tensors are named by the position of their column: raw_0, raw_1, …
        self._tensors = {name: inputs[f"raw_{i}"] for i, name in enumerate(columns)}

    def predict(self, context, model_input: pd.DataFrame, params=None):
        """Predict.

        Args:
            model_input: pandas frame with the raw columns; nulls may be None, NaN or pandas NA.
                Further columns are ignored.
            params: `threshold`, the probability from which `prediction` is 1.

        Raises:
            ValueError: a column is missing, or a value does not fit its column's type.
        """
        frame = model_input if isinstance(model_input, pd.DataFrame) else pd.DataFrame(model_input)
        absent = [name for name in self._tensors if name not in frame.columns]
        if absent:
            raise ValueError(
                f"raw columns are missing: {', '.join(absent)}; "
                f"got {', '.join(map(str, frame.columns))}"
            )
        parts = [
            self._predict(frame.iloc[start : start + ROWS_A_CALL])
            for start in range(0, len(frame), ROWS_A_CALL)
        ]
        probability = np.concatenate(parts) if parts else np.zeros(0)
        threshold = (params or {}).get("threshold", 0.5)
        return pd.DataFrame(
            {"probability": probability, "prediction": (probability >= threshold).astype(np.int64)},
            index=frame.index,
        )

    def _predict(self, frame):
        tf = _import_tensorflow()
        tensors = {
            tensor.name: tf.constant(_values(frame[name], tensor.dtype.name), tensor.dtype)
            for name, tensor in self._tensors.items()
        }
        return self._serve(**tensors)["probability"].numpy().astype(np.float64)


def _values(column, dtype):
    missing = column.isna().to_numpy(dtype=bool)
    if dtype == "string":
        return np.array(
            [
                MISSING_STRING
                if null
                else value.encode()
                if isinstance(value, str)
                else _no(column, value)
                for value, null in zip(column.tolist(), missing, strict=True)
            ],
            dtype=object,
        )
    if dtype == "float64":
        try:
            return pd.to_numeric(column, errors="raise").to_numpy(dtype=np.float64, na_value=np.nan)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"raw column {column.name!r} holds what is no number: {error}"
            ) from None
    numbers = np.full(len(column), MISSING_INTEGER, dtype=np.int64)
    there = column[~missing]
    try:
        whole = there.to_numpy(dtype=np.int64)
        if not np.array_equal(whole, pd.to_numeric(there).to_numpy()):
            raise ValueError("a value is no whole number")
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"raw column {column.name!r} has type {column.dtype}, "
            f"expected whole numbers or nulls: {error}"
        ) from None
    numbers[~missing] = whole
    return numbers


def _no(column, value):
    raise ValueError(
        f"raw column {column.name!r} holds {value!r} of type {type(value).__name__}, "
        "expected text or null"
    )


def _import_tensorflow():
    """TensorFlow, without what its C++ core writes to standard error at import."""
    import sys

    if "tensorflow" not in sys.modules:
        saved = os.dup(2)
        with tempfile.TemporaryFile() as caught:
            os.dup2(caught.fileno(), 2)
            try:
                import tensorflow
            finally:
                os.dup2(saved, 2)
                os.close(saved)
    import tensorflow

    return tensorflow


mlflow.models.set_model(RawModel())
