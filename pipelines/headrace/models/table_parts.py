"""Save a model with tables that no process has whole: read piece by piece, and written in parts.

In a SavedModel a table is several variables of at most 256 MiB, in as many files; their values are
written after the graph, so that the whole table is at no time in memory. In a `.keras` file it is
one array, as Keras writes it.
"""

import json
import math
import time
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from headrace.models.build import build_model
from headrace.models.raw import (
    DEFAULT_SIGNATURE,
    ENDPOINT,
    NETWORK,
    RawModel,
    make_network_endpoint,
    make_network_signature,
    make_raw_endpoint,
)
from headrace.models.table_storage import build_tables, list_chunks
from headrace.recipe import sections as s
from headrace.transform.graph import make_raw_signature
from headrace.transform.spec import TransformSpec

PART_NUMBERS = 2**26
"""Most numbers of a part: 256 MiB of float32."""
_FILE_NUMBERS = 2**24
"""Most numbers of a file, of which a part has several."""

ReadRows = Callable[[str, range], np.ndarray]
"""Returns consecutive rows of the table of a layer, float32 (n, width), by the layer's name."""


class TableParts:
    """The variables that a table is in, in a model that is saved and never called before.

    It is the method with which the layer looks up.

    Attributes:
        layer: that looks up in it.
        chunks: rows of each part.
        variables: of the parts; they have no values yet.
    """

    def __init__(self, layer: keras.layers.Embedding) -> None:
        """
        Args:
            layer: not built yet.
        """
        rows, self._width = int(layer.input_dim), int(layer.output_dim)
        self.layer, self.chunks = layer, list_chunks(rows, self._width, PART_NUMBERS)
        self.variables = [
            tf.Variable(tf.zeros((1, self._width)), shape=(None, self._width), trainable=False)
            for _ in self.chunks
        ]
        self._dtype = layer.compute_dtype
        layer.call = self
        layer.save_own_variables = self._save_marker

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        ids = inputs if inputs.dtype in (tf.int32, tf.int64) else tf.cast(inputs, tf.int32)
        ids = tf.where(ids < 0, ids + self.layer.input_dim, ids)  # as Keras counts from the end
        flat, size = tf.reshape(ids, [-1]), len(self.chunks[0])
        count = len(self.variables)
        if count == 1:
            rows = tf.gather(self.variables[0], flat)
        else:
            part = tf.cast(flat // size, tf.int32)
            own = tf.dynamic_partition(flat % size, part, count)
            places = tf.dynamic_partition(tf.range(tf.size(flat)), part, count)
            found = [tf.gather(v, i) for v, i in zip(self.variables, own, strict=True)]
            rows = tf.dynamic_stitch(places, found)
            # of an empty batch nothing is stitched
            rows = tf.reshape(rows, [tf.size(flat), self._width])
        shaped = tf.reshape(rows, tf.concat([tf.shape(ids), [self._width]], 0))
        shaped.set_shape([*ids.shape, self._width])
        return tf.cast(shaped, self._dtype)

    def _save_marker(self, store: object) -> None:
        store["0"] = np.frombuffer(self.layer.name.encode(), np.uint8)  # type: ignore[index]


class SplitModel:
    """A model whose large tables are elsewhere, to be saved.

    It has all other weights of another model.
    """

    def __init__(
        self,
        section: s.Model,
        spec: TransformSpec,
        tables: Collection[str],
        weights: Sequence[np.ndarray],
        read_rows: ReadRows,
    ) -> None:
        """
        Args:
            section: of the model.
            spec: fitted transform.
            tables: names of the layers whose rows are elsewhere.
            weights: all others, in the order of the model.
            read_rows: reads them.
        """
        self._spec, self._read_rows = spec, read_rows
        self._parts: list[TableParts] = []

        def build(layer: keras.layers.Embedding) -> bool:
            if layer.name not in tables:
                return False
            self._parts.append(TableParts(layer))
            return True

        with build_tables(build):
            self._model = build_model(section, spec)
        self._model.set_weights(weights)

    def export(self, folder: str) -> None:
        """Write a SavedModel with the endpoints `serve` and `network`; see `models.raw`.

        Args:
            folder: local, to write into.
        """
        spec = self._spec
        raw_model = RawModel(self._model, spec)
        module = tf.Module()
        module.raw_model = raw_model
        module.parts = [variable for parts in self._parts for variable in parts.variables]
        module.serve = tf.function(
            make_raw_endpoint(raw_model, spec),
            input_signature=[make_raw_signature(spec)],
            autograph=False,
        )
        module.network = tf.function(
            make_network_endpoint(self._model, spec),
            input_signature=[make_network_signature(spec)],
            autograph=False,
        )
        signatures = {ENDPOINT: module.serve, NETWORK: module.network}
        signatures[DEFAULT_SIGNATURE] = module.serve
        tf.saved_model.save(module, folder, signatures=signatures)
        self._write_parts(Path(folder) / "variables" / "variables")

    def _write_parts(self, prefix: Path) -> None:
        """Write the parts of the tables in place of the stand-ins that were saved."""
        reader = tf.train.load_checkpoint(str(prefix))
        chunks = [(parts, chunk) for parts in self._parts for chunk in parts.chunks]
        keys = [f"parts/{number}/.ATTRIBUTES/VARIABLE_VALUE" for number in range(len(chunks))]
        others = sorted(reader.get_variable_to_shape_map().keys() - set(keys))
        files: list[str] = []
        for names in _group_names(reader, others):
            files.append(str(prefix.with_name(f"aside-{len(files)}")))
            tf.raw_ops.SaveV2(
                prefix=files[-1],
                tensor_names=names,
                shape_and_slices=[""] * len(names),
                tensors=[tf.convert_to_tensor(reader.get_tensor(key)) for key in names],
            )
        del reader
        for path in prefix.parent.glob(f"{prefix.name}.*"):
            path.unlink()
        for (parts, part), key in zip(chunks, keys, strict=True):
            width = int(parts.layer.output_dim)
            for piece in list_chunks(len(part), width, _FILE_NUMBERS):
                rows = range(part.start + piece.start, part.start + piece.stop)
                files.append(str(prefix.with_name(f"aside-{len(files)}")))
                place = f"{len(part)} {width} {piece.start},{len(piece)}:0,{width}"
                values = self._read_piece(parts.layer, rows)
                tf.raw_ops.SaveV2(
                    prefix=files[-1],
                    tensor_names=[key],
                    shape_and_slices=[place],
                    tensors=[tf.convert_to_tensor(values)],
                )
        tf.raw_ops.MergeV2Checkpoints(
            checkpoint_prefixes=files, destination_prefix=str(prefix), delete_old_dirs=False
        )

    def _read_piece(self, layer: keras.layers.Embedding, piece: range) -> np.ndarray:
        width = int(layer.output_dim)
        values = np.empty((len(piece), width), np.float32)
        for chunk in list_chunks(len(piece), width):
            rows = range(piece.start + chunk.start, piece.start + chunk.stop)
            values[chunk.start : chunk.stop] = self._read_rows(layer.name, rows)
        return values

    def save(self, file: str) -> None:
        """Write a `.keras` file, as `Model.save` does of a model with all weights.

        Args:
            file: path of it, which ends with `.keras`.
        """
        weights = Path(file).with_suffix(".weights.h5")
        try:
            self._model.save_weights(weights)
            with h5py.File(weights, "r+") as store:
                places = _find_markers(store, {parts.layer.name for parts in self._parts})
                for parts in self._parts:
                    self._write_dataset(store, places[parts.layer.name], parts.layer)
            self._pack(weights, file)
        finally:
            weights.unlink(missing_ok=True)

    def _write_dataset(self, store: h5py.File, place: str, layer: keras.layers.Embedding) -> None:
        rows, width = int(layer.input_dim), int(layer.output_dim)
        del store[place]
        dataset = store.create_dataset(place, (rows, width), np.float32)
        for chunk in list_chunks(rows, width):
            dataset[chunk.start : chunk.stop] = self._read_rows(layer.name, chunk)

    def _pack(self, weights: Path, file: str) -> None:
        config = json.dumps(keras.saving.serialize_keras_object(self._model))
        saved_at = time.strftime("%Y-%m-%d@%H:%M:%S")
        metadata = json.dumps({"keras_version": keras.__version__, "date_saved": saved_at})
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("metadata.json", metadata)
            archive.writestr("config.json", config)
            archive.write(weights, "model.weights.h5")


def _group_names(reader: Any, names: Sequence[str]) -> list[list[str]]:
    """Return names of tensors that are copied at once; a large one is copied alone."""
    shapes = reader.get_variable_to_shape_map()
    large = [name for name in names if math.prod(shapes[name]) > _FILE_NUMBERS]
    return [[name for name in names if name not in large], *([name] for name in large)]


def _find_markers(store: h5py.File, names: Collection[str]) -> Mapping[str, str]:
    """Return where in a file of weights the table of each layer is to be."""
    markers = {name.encode(): name for name in names}
    places: dict[str, str] = {}

    def visit(path: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype == np.uint8:
            name = markers.get(item[()].tobytes())
            if name is not None:
                places[name] = path

    store.visititems(visit)
    return places
