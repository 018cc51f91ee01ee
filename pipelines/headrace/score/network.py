"""Load the model in a Spark worker: once in a process, with the cores that Spark gave the task.

Spark starts a Python process for each core and uses it for task after task. By default TensorFlow
would take all cores of the machine in each of them.
"""

import gc
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import ModelError
from headrace.tracking.saved_graph import check_saved_graph
from headrace.transform.spec import TransformSpec

Network = Callable[[Mapping[str, np.ndarray]], np.ndarray]

_SIGNATURE = "network"
# An MLP of 63 thousand weights over 429 inputs took 4.9 microseconds for a row with 1,024 rows in a
# call, 3.0 with 8,192 and 3.9 with 131,072: activations have to fit the cache.
_ROWS_PER_CALL = 8192
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
        import tensorflow as tf
    finally:
        if before is None:
            del os.environ[_OTHER_KERAS]
        else:
            os.environ[_OTHER_KERAS] = before
    _freeze_garbage()
    return tf


def _freeze_garbage() -> None:
    """Take what exists now out of garbage collection, which Spark runs after every task.

    Looking through all of TensorFlow's objects takes 0.25 s.
    """
    gc.freeze()


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
        model = tf.saved_model.load(folder)
    if _SIGNATURE not in model.signatures:
        raise ModelError(
            "the model was registered by a Headrace that could not score with it; train again"
        )
    _freeze_garbage()
    call = model.signatures[_SIGNATURE]
    names = {f"input_{position}": name for position, name in enumerate(spec.inputs)}

    def predict(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        rows = len(next(iter(inputs.values())))
        parts = []
        for begin in range(0, rows, _ROWS_PER_CALL):
            end = begin + _ROWS_PER_CALL
            outputs = call(**{key: tf.constant(inputs[n][begin:end]) for key, n in names.items()})
            (output,) = outputs.values()
            parts.append(output.numpy())
        return np.concatenate(parts).astype(np.float64)

    predict.model = model  # type: ignore[attr-defined]  # its variables live as long as this
    return predict
