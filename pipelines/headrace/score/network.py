"""Load the model in a worker: once in a process, with the cores that Spark gave the task.

There is a Python process for each core, which is used for task after task. By default TensorFlow
would take all cores of the machine in each of them.
"""

import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import ModelError
from headrace.garbage import freeze_objects, pause_collection
from headrace.tracking.saved_graph import check_saved_graph
from headrace.transform.spec import TransformSpec

Network = Callable[[Mapping[str, np.ndarray]], np.ndarray]

_SIGNATURE = "network"
# Bytes of a call's activations. An MLP over 429 inputs took 2.4 microseconds for a row with 1,024
# rows in a call (2.5 MB), 1.8 with 4,096 (10 MB), 2.8 with 16,384 and 6.4 with 65,536: they have to
# fit the cache, and a call itself takes half a millisecond.
_CALL_BYTES, _MOST_ROWS = 16 * 2**20, 32_768
# Rows of a call are a multiple of this. Matrix products handle the rows that are left over by
# another order of additions, so that a row's prediction would depend on how many rows it is scored
# with: of 65,536 rows 34 differed in the last bit in calls of 8,191, and none in multiples of 8.
_ROW_MULTIPLE = 16
_OTHER_KERAS = "TF_USE_LEGACY_KERAS"
_loaded: dict[str, Network] = {}


def pack_folder(folder: str, file: str) -> None:
    """Pack the folder of a SavedModel into one file, to be sent to executors."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))


def load_network(file: str, spec: TransformSpec, threads: int) -> Network:
    """Load the network, without the transform.

    Args:
        file: as `pack_folder` made it, on this machine.
        spec: names the inputs.
        threads: that it may use; the first call in a process decides.

    Returns:
        function of the model's inputs by name (`TransformSpec.inputs`) to its output in the label's
        own unit: float64 of shape (rows,) or (rows, classes).

    Raises:
        ModelError: the model was registered by a Headrace that wrote no such signature.
    """
    if file not in _loaded:
        _loaded.clear()  # the worker goes on to another model
        _loaded[file] = _load_saved_model(file, spec, threads)
    return _loaded[file]


def import_tensorflow() -> Any:
    """Import TensorFlow without Keras, which a SavedModel does not need.

    TensorFlow imports Keras at the end of its own import, and Keras imports scikit-learn,
    Matplotlib and pandas: half of 6 s. With this variable set it looks for another Keras.
    """
    before = os.environ.get(_OTHER_KERAS)
    os.environ[_OTHER_KERAS] = "1"
    try:
        with pause_collection():
            import tensorflow as tf
    finally:
        if before is None:
            del os.environ[_OTHER_KERAS]
        else:
            os.environ[_OTHER_KERAS] = before
    freeze_objects()  # Spark collects garbage after every task: 0.25 s
    return tf


def _load_saved_model(file: str, spec: TransformSpec, threads: int) -> Network:
    """Load a SavedModel, and return its signature of that name as a function of arrays."""
    tf = import_tensorflow()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # the user's code has used TensorFlow in this process already
        pass
    # Read into memory: the folder is gone when this returns.
    with tempfile.TemporaryDirectory(prefix="headrace-model-") as folder:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(folder)
        check_saved_graph(folder, "to score with")
        with pause_collection():
            model = tf.saved_model.load(folder)
    if _SIGNATURE not in model.signatures:
        raise ModelError(
            "the model was registered by a Headrace that could not score with it; train again"
        )
    freeze_objects()
    call = model.signatures[_SIGNATURE]
    names = {f"input_{position}": name for position, name in enumerate(spec.inputs)}
    call_rows = choose_call_rows(spec, [tuple(v.shape) for v in call.variables])

    def predict(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        rows = len(next(iter(inputs.values())))
        parts = []
        for begin in range(0, rows, call_rows):
            end = min(begin + call_rows, rows)
            padded = {key: _pad_rows(inputs[name][begin:end]) for key, name in names.items()}
            outputs = call(**{key: tf.constant(values) for key, values in padded.items()})
            (output,) = outputs.values()
            parts.append(output.numpy()[: end - begin])
        return np.concatenate(parts).astype(np.float64)

    predict.model = model  # type: ignore[attr-defined]  # its variables live as long as this
    return predict


def choose_call_rows(spec: TransformSpec, shapes: Sequence[tuple[int, ...]]) -> int:
    """Choose how many rows a network predicts in one call, by the activations of a row.

    Args:
        spec: names the inputs.
        shapes: of the network's variables; matrices make as many activations as they have columns.
    """
    width = sum(int(np.prod(item.shape)) for item in spec.inputs.values())
    width += sum(shape[-1] for shape in shapes if len(shape) > 1)
    rows = int(np.clip(_CALL_BYTES // (4 * max(width, 1)), _ROW_MULTIPLE, _MOST_ROWS))
    return 1 << (rows.bit_length() - 1)


def _pad_rows(values: np.ndarray) -> np.ndarray:
    """Repeat the last row until the rows are a multiple of `_ROW_MULTIPLE`."""
    lacking = -len(values) % _ROW_MULTIPLE
    return np.concatenate([values, np.repeat(values[-1:], lacking, axis=0)]) if lacking else values
