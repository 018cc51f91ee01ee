"""Predict raw rows in a pandas frame with a SavedModel: an MLflow model from code.

MLflow stores this file inside the model and runs it there. It imports nothing of Headrace on
purpose: loading a model needs mlflow, TensorFlow, NumPy and pandas, and neither Headrace nor Spark.
"""

import base64
import binascii
import datetime
import itertools
import json
import os
import re
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import mlflow
import numpy as np
import pandas as pd

# One encoding of "missing" per dtype, as the graph expects it (transform/graph.py).
MISSING_INTEGER = -(2**63)
MISSING_STRING = b"\xff"
# Most rows per call of the graph, and most elements of lists and images per call, which bound the
# memory of a prediction over many rows.
ROWS_PER_CALL = 65_536
ELEMENTS_PER_CALL = 262_144
ELEMENT = {"integers": "integer", "reals": "real", "strings": "string"}


class RawModel(mlflow.pyfunc.PythonModel):
    """Predict every raw row; the columns of the result depend on the label's kind.

    binary: `probability` (float64) and `prediction` (0 or 1). classes: `prediction` (the class as a
    text) and `probability` (of that class). multi_label: `prediction` (a list of the labels from
    the threshold on) and `probability` (a dict of all labels and theirs). regression: `prediction`
    (float64, in the label's own unit).
    """

    def load_context(self, context):
        tf = _import_tensorflow()
        self._model = tf.saved_model.load(context.artifacts["saved_model"])
        self._serve = self._model.signatures["serve"]
        # By the label's kind: `probability`, `probabilities` or `value`.
        (self._output,) = self._serve.structured_outputs
        with open(context.artifacts["transform"], encoding="utf-8") as file:  # noqa: PTH123
            transform = json.load(file)
        self._kinds = {column["name"]: column["kind"] for column in transform["raw"]}
        self._label = transform["label"]
        elements = sum(map(_count_elements, transform["features"]))
        self._rows_per_call = max(1, min(ROWS_PER_CALL, ELEMENTS_PER_CALL // max(1, elements)))

    def predict(self, context, model_input: pd.DataFrame, params=None):
        """Predict raw rows.

        Args:
            model_input: pandas frame with the raw columns; nulls may be None, NaN, NaT or pandas
                NA. Timestamps are datetimes or ISO 8601 texts, in UTC where they name no zone;
                lists are lists or NumPy arrays, images the bytes of a PNG or JPEG file, or these
                as Base64 text. Further columns are ignored.
            params: of a binary label `threshold`, the probability from which `prediction` is 1; of
                several labels, from which it names a label.

        Raises:
            ValueError: a column is missing, a value does not fit its column's type, or a file is
                no image of the right size.
        """
        frame = model_input if isinstance(model_input, pd.DataFrame) else pd.DataFrame(model_input)
        absent = [name for name in self._kinds if name not in frame.columns]
        if absent:
            raise ValueError(
                f"raw columns are missing: {', '.join(absent)}; "
                f"got {', '.join(map(str, frame.columns))}"
            )
        outputs = np.concatenate(
            [np.zeros((0, len(self._label["classes"])) if self._label["classes"] else 0)]
            + [
                self._predict_chunk(frame.iloc[start : start + self._rows_per_call])
                for start in range(0, len(frame), self._rows_per_call)
            ]
        )
        threshold = (params or {}).get("threshold", 0.5)
        if self._output == "value":
            columns = {"prediction": outputs}
        elif self._label["kind"] == "classes":
            best = outputs.argmax(axis=1)
            names = np.array(self._label["classes"], dtype=object)
            probabilities = outputs[np.arange(len(best)), best]
            columns = {"prediction": names[best], "probability": probabilities}
        elif self._label["kind"] == "multi_label":
            names = self._label["classes"]
            pairs = [dict(zip(names, row, strict=True)) for row in outputs.tolist()]
            columns = {
                "prediction": [[n for n, p in row.items() if p >= threshold] for row in pairs],
                "probability": pairs,
            }
        else:
            columns = {
                "probability": outputs,
                "prediction": (outputs >= threshold).astype(np.int64),
            }
        return pd.DataFrame(columns, index=frame.index)

    def _predict_chunk(self, frame):
        tf = _import_tensorflow()
        tensors = {}
        # Tensors are named by the position of their column: raw_0, raw_1, …
        for position, (name, kind) in enumerate(self._kinds.items()):
            values = _convert_column(frame[name], kind)
            dtype = tf.string if values.dtype == object else values.dtype
            tensors[f"raw_{position}"] = tf.constant(values, dtype)
        try:
            output = self._serve(**tensors)[self._output]
        except tf.errors.InvalidArgumentError as error:
            # Errors that only the graph detects: a file that is no image, or one of another size.
            # The reason is the line before the list of nodes; names of tensors are of no use here.
            reason = str(error.message).split("\n\t")[0].splitlines()[-1]
            reason = re.sub(r"(?<=tensor) \S*/\S*", "", reason)
            raise ValueError(f"the model cannot read the rows: {reason}") from None
        return output.numpy().astype(np.float64)


def _count_elements(feature):
    """Count the elements of a feature's list or image; 0 for scalars."""
    if feature["kind"] == "image":
        return feature["height"] * feature["width"] * feature["channels"]
    return feature.get("length", 0)


def _convert_column(column, kind):
    """Convert a raw column to an input of the graph: (rows,), or of lists (rows, longest list)."""
    if kind in ELEMENT:
        return _pad_lists(column, ELEMENT[kind])
    return READERS[kind](column)


def _pad_lists(column, kind):
    """Pad a column of lists with missing values to the longest: shape (rows, longest list)."""
    cells = [_read_cell(column, value) for value in column.tolist()]
    # All elements at once as one column, so that they are read as scalars of their kind are.
    filled = [cell for cell in cells if len(cell)]
    dtypes = {getattr(cell, "dtype", None) for cell in filled}
    if len(dtypes) == 1 and None not in dtypes:
        flat = pd.Series(np.concatenate(filled), name=column.name)
    else:
        flat = pd.Series(list(itertools.chain(*filled)), dtype=object, name=column.name)
    elements = READERS[kind](flat)
    lengths = np.array([len(cell) for cell in cells], dtype=np.int64)
    width = max(1, int(lengths.max(initial=0)))
    missing = {"integer": MISSING_INTEGER, "real": np.nan, "string": MISSING_STRING}[kind]
    padded = np.full((len(cells), width), missing, dtype=elements.dtype)
    padded[np.arange(width) < lengths[:, None]] = elements
    return padded


def _read_cell(column, value):
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return value
    if isinstance(value, list | tuple):
        return value
    if _is_null(value):
        return []
    raise _make_value_error(column, value, "a list or null")


def _read_integers(column):
    missing = column.isna().to_numpy(dtype=bool)
    numbers = np.full(len(column), MISSING_INTEGER, dtype=np.int64)
    values = column[~missing]
    try:
        integers = values.to_numpy(dtype=np.int64)
        if not np.array_equal(integers, pd.to_numeric(values).to_numpy()):
            raise ValueError("a value is no whole number")
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"raw column {column.name!r} has type {column.dtype}, "
            f"expected whole numbers or nulls: {error}"
        ) from None
    numbers[~missing] = integers
    return numbers


def _read_reals(column):
    try:
        return pd.to_numeric(column, errors="raise").to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"raw column {column.name!r} holds a value that is no number: {error}"
        ) from None


def _read_timestamps(column):
    """Read int64 microseconds since 1970-01-01 UTC; a value without a zone is in UTC."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "M":
        # NaT is -2**63, which is what the graph calls missing.
        return column.to_numpy().astype("datetime64[us]").astype(np.int64)
    numbers = [
        MISSING_INTEGER if null else _count_microseconds(column, value)
        for value, null in zip(column.tolist(), column.isna(), strict=True)
    ]
    return np.array(numbers, dtype=np.int64)


def _count_microseconds(column, value):
    expected = "a datetime, an ISO 8601 text or null"
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            raise _make_value_error(column, value, expected) from None
    if isinstance(value, pd.Timestamp):
        value = value.to_datetime64()
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[us]").astype(np.int64))
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time())
    if not isinstance(value, datetime.datetime):
        raise _make_value_error(column, value, expected)
    # Not astimezone: it cannot leave the years 1 to 9999, not even by an hour.
    since = value.replace(tzinfo=None) - datetime.datetime(1970, 1, 1)
    offset = value.utcoffset() or datetime.timedelta()
    return (since - offset) // datetime.timedelta(microseconds=1)


def _read_strings(column):
    values = np.full(len(column), MISSING_STRING, dtype=object)
    for position, value in enumerate(column.tolist()):
        if isinstance(value, str):
            values[position] = value.encode()
        elif not _is_null(value):
            raise _make_value_error(column, value, "text or null")
    return values


def _read_bytes(column):
    expected = "the bytes of a file, these as Base64 text, or null"
    values = np.full(len(column), MISSING_STRING, dtype=object)
    for position, value in enumerate(column.tolist()):
        if isinstance(value, bytes | bytearray | memoryview):
            values[position] = bytes(value)
        elif isinstance(value, str):  # as in JSON
            try:
                values[position] = base64.b64decode("".join(value.split()), validate=True)
            except binascii.Error:
                raise _make_value_error(column, value, expected) from None
        elif not _is_null(value):
            raise _make_value_error(column, value, expected)
    return values


READERS = {
    "integer": _read_integers,
    "real": _read_reals,
    "timestamp": _read_timestamps,
    "string": _read_strings,
    "bytes": _read_bytes,
}


def _is_null(value):
    return pd.api.types.is_scalar(value) and pd.isna(value)


def _make_value_error(column, value, expected):
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return ValueError(
        f"raw column {column.name!r} holds {shown} of type {type(value).__name__}, "
        f"expected {expected}"
    )


def _import_tensorflow():
    """Import TensorFlow without the lines that its C++ core writes to standard error."""
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
