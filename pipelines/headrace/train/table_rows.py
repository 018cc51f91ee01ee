"""Copy rows from the table of one model to that of another, wherever either has them."""

import keras
import numpy as np
import tensorflow as tf

from headrace.models.mapped_tables import MappedTable
from headrace.models.table_storage import CHUNK_NUMBERS
from headrace.train.sharded_tables import find_sharded_table


def read_table(layer: keras.layers.Embedding) -> np.ndarray:
    """Return the rows of a layer's table, float32 (rows, width); those in a file stay there."""
    if isinstance(layer.call, MappedTable):
        return layer.call.values
    return np.asarray(keras.ops.convert_to_numpy(layer.embeddings))


class TableWriter:
    """The table of a layer, of which this rank may have some rows alone."""

    def __init__(self, layer: keras.layers.Embedding) -> None:
        """
        Args:
            layer: of a model that is trained.
        """
        self._shard = find_sharded_table(layer)
        self._variable: tf.Variable = layer._embeddings._value
        self._size = max(1, CHUNK_NUMBERS // int(layer.output_dim))

    def put_rows(self, ids: np.ndarray, source: np.ndarray, source_ids: np.ndarray) -> None:
        """Set those rows that this rank has, a piece at a time.

        Args:
            ids: rows of the table, int (n,), each once.
            source: table to copy from, float32 (rows, width).
            source_ids: its row for each of the ids, int (n,).
        """
        if self._shard:
            is_own = self._shard.owns(ids)
            ids, source_ids = self._shard.to_local(ids[is_own]), source_ids[is_own]
        for start in range(0, len(ids), self._size):
            piece = slice(start, start + self._size)
            values = tf.convert_to_tensor(np.ascontiguousarray(source[source_ids[piece]]))
            places = tf.convert_to_tensor(ids[piece].astype(np.int32))
            self._variable.scatter_update(tf.IndexedSlices(values, places))
