"""Look texts up inside a graph among those of a `text_index`: the same arrays, as variables.

A hash table of TensorFlow's takes some hundred bytes for each text, and its texts would be
constants of a graph, which is no larger than 2 GiB. Variables are saved beside the graph: 12 bytes
for a text's hash and position, 4 or 8 for where its bytes begin, and its bytes. A text is found by
its hash and its bytes are compared, any bytes, so that two texts of one hash are never taken for
each other. The graph has no operation that reads files.
"""

import numpy as np
import pyarrow as pa
import tensorflow as tf

from headrace.features.text_hashes import HASH_BUCKETS
from headrace.features.text_index import TextIndex


class TextTable(tf.Module):
    """A table from text to id, with the lookup of TensorFlow's own tables."""

    def __init__(self, index: TextIndex, first_id: int) -> None:
        """
        Args:
            index: of one text or more, indexed by hash.
            first_id: id of the text at position 0.
        """
        super().__init__()
        assert index.hashes is not None and index.positions is not None
        hashes, positions = index.hashes, index.positions
        if index.size < len(hashes):
            is_used = positions < index.size
            hashes, positions = hashes[is_used], positions[is_used]
        offsets, content = _read_buffers(index.texts.slice(0, index.size))
        self._first_id = first_id
        self._longest_run = _find_longest_run(hashes)
        with tf.device("/CPU:0"):  # where texts are
            self._hashes, self._positions, self._offsets, self._bytes = (
                tf.Variable(values, trainable=False)
                for values in (hashes, positions, offsets, content)
            )

    def lookup(self, texts: tf.Tensor) -> tf.Tensor:
        """Return the ids of texts, int64 of their shape; -1 of a text that is not in the table."""
        flat = tf.reshape(texts, [-1])
        hashes = tf.strings.to_hash_bucket_fast(flat, HASH_BUCKETS)
        lengths = tf.cast(tf.strings.length(flat), tf.int64)
        size = tf.size(self._hashes, out_type=tf.int64)
        first = tf.searchsorted(self._hashes, hashes, out_type=tf.int64)
        ids = tf.fill(tf.shape(flat), tf.constant(-1, tf.int64))
        for step in range(self._longest_run):
            place = tf.minimum(first + step, size - 1)
            position = tf.cast(tf.gather(self._positions, place), tf.int64)
            begin, end = (
                tf.cast(tf.gather(self._offsets, position + add), tf.int64) for add in (0, 1)
            )
            has_hash = tf.equal(tf.gather(self._hashes, place), hashes)
            rows = tf.where(has_hash & tf.equal(end - begin, lengths))
            begin, end = tf.gather_nd(begin, rows), tf.gather_nd(end, rows)
            is_same = self._compare_bytes(tf.gather_nd(flat, rows), begin, end)
            matched = tf.boolean_mask(rows, is_same)
            row_ids = tf.gather_nd(position, matched) + self._first_id
            ids = tf.tensor_scatter_nd_update(ids, matched, row_ids)
        return tf.reshape(ids, tf.shape(texts))

    def _compare_bytes(self, texts: tf.Tensor, begin: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        """Return whether texts have these bytes of the table, as many as they have; bool (n,)."""
        places = tf.ragged.range(begin, end)
        stored_bytes = tf.gather(self._bytes, places.flat_values)
        text_bytes = tf.io.decode_raw(tf.strings.reduce_join(texts), tf.uint8)
        return tf.reduce_all(places.with_flat_values(tf.equal(stored_bytes, text_bytes)), axis=1)


def _read_buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return where each text begins and the last one ends, int32 or int64, and all bytes, uint8."""
    kind = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, bounds, content = texts.buffers()
    offsets = np.frombuffer(bounds, kind)[texts.offset :][: len(texts) + 1]
    begin, end = int(offsets[0]), int(offsets[-1])
    offsets = offsets - begin if begin else offsets
    return offsets, np.frombuffer(content or b"", np.uint8)[begin:end]


def _find_longest_run(hashes: np.ndarray) -> int:
    """Return how many texts have the same hash at most; hashes are in order."""
    run = 1
    while run < len(hashes) and (hashes[run:] == hashes[:-run]).any():
        run += 1
    return run
