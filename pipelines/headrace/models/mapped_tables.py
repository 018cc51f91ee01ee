"""Load a model whose large tables stay in its file: what is looked up is read from there.

The operating system keeps in memory what is asked for often, once for all processes of a machine,
and gives it up where others need it. Nothing but the rows that are looked up is read.
"""

import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import keras
import numpy as np
import tensorflow as tf

from headrace.models.table_storage import build_tables, count_table_bytes

_WEIGHTS = "model.weights.h5"


class MappedTable:
    """A table in a file. It is the method with which the layer looks up.

    Attributes:
        layer: that looks up in it.
        values: float32 (rows, width), not in memory; None until weights are loaded.
    """

    def __init__(self, layer: keras.layers.Embedding, file: str) -> None:
        """
        Args:
            layer: not built yet.
            file: that has the table.
        """
        self._width, self._dtype = int(layer.output_dim), layer.compute_dtype
        self.layer, self._file = layer, file
        self.values = np.zeros((0, self._width), np.float32)
        layer.call = self
        layer.load_own_variables = self._map_file

    def _map_file(self, store: Mapping[str, np.ndarray]) -> None:
        """Take what stands for the table among the weights: its shape, and where it is."""
        *shape, offset = (int(number) for number in store["0"])
        expected = [int(self.layer.input_dim), self._width]
        if shape != expected:
            raise ValueError(
                f"the table of layer {self.layer.name} is {shape}, expected {expected}"
            )
        self.values = np.memmap(self._file, np.float32, "r", offset, tuple(shape))

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        ids = tf.cast(inputs, tf.int64)
        rows = tf.numpy_function(self.take, [ids], tf.float32)
        rows.set_shape([*ids.shape, self._width])
        return tf.cast(rows, self._dtype)

    def take(self, ids: np.ndarray) -> np.ndarray:
        """Return the rows of ids, of any shape, with one more axis."""
        return np.asarray(self.values[ids])


def list_mapped_tables(model: keras.Model) -> dict[str, MappedTable]:
    """Return the tables of a model that stay in its file, by the name of their layer."""
    layers = model._flatten_layers(include_self=False)
    found = [layer.call for layer in layers if isinstance(layer, keras.layers.Embedding)]
    return {call.layer.name: call for call in found if isinstance(call, MappedTable)}


def load_mapped_model(file: str | Path, above: int) -> keras.Model | None:
    """Load a `.keras` file in safe mode; its tables of more than `above` bytes stay in it.

    The file may be removed afterwards, and must not be changed. None where its weights are
    compressed, so that no table in it can be read as it lies, or where a layer is not one of Keras:
    it may read a table as a whole, as a tied head does.

    Raises:
        what Keras raises: it is no model, or has a layer that nobody can find or may run.
    """

    def build(layer: keras.layers.Embedding) -> bool:
        if count_table_bytes(layer) <= above:
            return False
        MappedTable(layer, str(file))
        return True

    with zipfile.ZipFile(file) as archive:
        member = archive.getinfo(_WEIGHTS)
        if member.compress_type != zipfile.ZIP_STORED:
            return None
        config = json.loads(archive.read("config.json"))
    if _has_own_layers(config):
        return None
    with build_tables(build):
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    with tempfile.TemporaryDirectory(prefix="headrace-weights-") as folder:
        small = Path(folder) / _WEIGHTS
        with Path(file).open("rb") as stream:
            window = _Window(stream, _find_content(stream, member), member.file_size)
            with h5py.File(window, "r") as weights, h5py.File(small, "w") as target:
                tables = list_mapped_tables(model).values()
                shapes = {(table.layer.input_dim, table.layer.output_dim) for table in tables}
                _copy_small(weights, target, shapes, window.start)
        model.load_weights(small)
    return model


def _has_own_layers(tree: Any) -> bool:
    """Return whether something in a model's config is of a module other than Keras's."""
    if isinstance(tree, list):
        return any(map(_has_own_layers, tree))
    if not isinstance(tree, dict):
        return False
    is_own = "class_name" in tree and (tree.get("module") or "keras").split(".")[0] != "keras"
    is_registered = ">" in str(tree.get("registered_name"))  # PACKAGE>NAME, of no module
    return is_own or is_registered or any(map(_has_own_layers, tree.values()))


def _find_content(stream: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Return the position of a member's first byte in its zip."""
    stream.seek(member.header_offset)
    header = stream.read(30)  # of a fixed size; name and extra field follow
    name, extra = struct.unpack("<HH", header[26:30])
    return member.header_offset + 30 + name + extra


def _copy_small(
    source: h5py.Group, target: h5py.Group, shapes: Collection[tuple[int, int]], start: int
) -> None:
    """Copy arrays; of tables, which have one of the shapes, their shape and position instead."""
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy_small(item, target.create_group(name), shapes, start)
        elif item.shape in shapes and item.id.get_offset() is not None:
            place = [*item.shape, start + item.id.get_offset()]
            target.create_dataset(name, data=np.array(place, np.int64))
        else:
            source.copy(name, target)


class _Window(io.RawIOBase):
    """A part of a file, read as if it were a file.

    Attributes:
        start: position of its first byte.
    """

    def __init__(self, stream: BinaryIO, start: int, size: int) -> None:
        self._stream, self.start, self._size, self._position = stream, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), max(0, self._size - self._position))
        self._stream.seek(self.start + self._position)
        content = self._stream.read(count)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)
