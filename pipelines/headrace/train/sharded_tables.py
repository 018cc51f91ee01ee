"""Look ids up in a table whose rows are split over ranks: row r belongs to rank r modulo ranks.

Ids of a vocabulary are numbered by how frequent they are, so that ranks would be asked for very
different numbers of rows if each had a neighbouring part of them. All ranks look up together.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives
from headrace.models.table_storage import (
    count_table_bytes,
    draw_initial_rows,
    get_initial_seed,
    list_chunks,
    put_rows,
)

Ids = TypeVar("Ids", tf.Tensor, np.ndarray)


def list_own_rows(rows: range, rank: int, size: int) -> range:
    """Return those of consecutive rows that belong to a rank.

    Args:
        rows: of the table.
        rank, size: this rank, and the number of ranks.
    """
    return range(rows.start + (rank - rows.start) % size, rows.stop, size)


class Lookup(NamedTuple):
    """A call of a layer.

    Attributes:
        ids: int32 (n,).
        rows: float32 (n, width).
        first_dimension: of what it was called with, int32.
    """

    ids: tf.Tensor
    rows: tf.Tensor
    first_dimension: tf.Tensor


class ShardedTable:
    """This rank's rows of a table, and the exchange with the others.

    It is the method with which the layer looks up.

    Attributes:
        layer: that looks up in it.
        rows, width: shape of the whole table.
        variable: this rank's rows, float32 (own rows, width).
        tape: watches what is looked up, where gradients are taken; set by the step.
        looked_up: each call under the tape.
        sent, asked: number of ids that the last lookup sent to other ranks, and that others sent
            to this one, int32 scalars of the graph.
    """

    def __init__(self, layer: keras.layers.Embedding, collectives: Collectives) -> None:
        """Build a layer with the rows of this rank.

        Args:
            layer: not built yet. Its initializer has the same seed on all ranks.
            collectives: the ranks.
        """
        self.layer, self._collectives = layer, collectives
        self.rows, self.width = int(layer.input_dim), int(layer.output_dim)
        self._rank, self._size = collectives.rank, collectives.size
        own = list_own_rows(range(self.rows), self._rank, self._size)
        self.variable = layer.add_weight(
            shape=(len(own), self.width), initializer="zeros", name="embeddings", trainable=True
        )
        layer._embeddings = self.variable
        self.tape: tf.GradientTape | None = None
        self.looked_up: list[Lookup] = []
        self.sent = self.asked = tf.constant(0)
        self._dtype = layer.compute_dtype
        for rows, values in draw_initial_rows(layer, get_initial_seed(layer)):
            self.put_rows(rows, values)
        layer.call = self

    def put_rows(self, rows: range, values: np.ndarray) -> None:
        """Set those of consecutive rows of the table that belong to this rank.

        Args:
            rows: of the whole table.
            values: float32 (len(rows), width), of all of them.
        """
        own = list_own_rows(rows, self._rank, self._size)
        if own:
            start = own.start // self._size
            values = np.ascontiguousarray(values[own.start - rows.start :: self._size])
            put_rows(self.variable, range(start, start + len(own)), values)

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        ids = inputs if inputs.dtype in (tf.int32, tf.int64) else tf.cast(inputs, tf.int32)
        ids = tf.cast(tf.where(ids < 0, ids + self.rows, ids), tf.int32)
        flat = tf.reshape(ids, [-1])
        rows = self.look_up(flat)
        if self.tape is not None:
            self.tape.watch(rows)
            first = tf.shape(ids)[0] if ids.shape.rank else tf.constant(1)
            self.looked_up.append(Lookup(flat, rows, first))
        found = tf.reshape(rows, tf.concat([tf.shape(ids), [self.width]], 0))
        found.set_shape([*ids.shape, self.width])
        return tf.cast(found, self._dtype)

    def look_up(self, ids: tf.Tensor) -> tf.Tensor:
        """Return a row for each id, float32 (n, width)."""
        if self._size == 1:
            return tf.gather(self.variable._value, ids)
        with tf.device("/CPU:0"):
            unique, position = tf.unique(ids)
        asked, counts, order = self.send_by_owner(unique, unique)
        answered, _ = self._collectives.alltoall_rows(
            tf.gather(self.variable._value, asked // self._size), counts
        )
        self.sent, self.asked = tf.size(unique), tf.size(asked)
        return tf.gather(answered, tf.gather(tf.math.invert_permutation(order), position))

    def send_by_owner(
        self, ids: tf.Tensor, rows: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Send each row to the rank that has its id.

        Args:
            ids: int32 (n,).
            rows: (n, ...).

        Returns:
            what was sent to this rank, by rank and in the order of each; how many each rank sent;
            and the order in which this rank sent its own.
        """
        owner = ids % self._size
        order = tf.argsort(owner, stable=True)
        counts = tf.math.bincount(owner, minlength=self._size, maxlength=self._size)
        received, received_counts = self._collectives.alltoall_rows(
            tf.gather(rows, order), tf.cast(counts, tf.int32)
        )
        return received, received_counts, order

    def owns(self, ids: np.ndarray) -> np.ndarray:
        """Return which ids are of this rank, bool (n,)."""
        return np.asarray(ids % self._size == self._rank)

    def to_local(self, ids: Ids) -> Ids:
        """Return the positions of ids of this rank within its own rows."""
        return ids // self._size


@contextmanager
def watch_lookups(tables: Sequence[ShardedTable | None], tape: tf.GradientTape) -> Iterator[None]:
    """Have a tape watch what is looked up in the block: the exchange itself has no gradient."""
    for table in filter(None, tables):
        table.tape, table.looked_up = tape, []
    try:
        yield
    finally:
        for table in filter(None, tables):
            table.tape = None


def find_sharded_table(layer: keras.layers.Embedding) -> ShardedTable | None:
    """Return what a layer looks up in, where its table is sharded."""
    return layer.call if isinstance(layer.call, ShardedTable) else None


def list_sharded_tables(model: keras.Model) -> list[ShardedTable]:
    """List the sharded tables of a model, in the order of its layers."""
    layers = model._flatten_layers(include_self=False)
    found = [layer.call for layer in layers if isinstance(layer, keras.layers.Embedding)]
    return [call for call in found if isinstance(call, ShardedTable)]


def make_table_builder(
    shard_above: int | None, collectives: Collectives
) -> Callable[[keras.layers.Embedding], bool]:
    """Return what builds the tables of a training, for `table_storage.build_tables`.

    Args:
        shard_above: tables of more bytes are split over ranks; None for none.
        collectives: the ranks.
    """

    def build(layer: keras.layers.Embedding) -> bool:
        if shard_above is None or count_table_bytes(layer) <= shard_above:
            return _build_by_chunk(layer)
        ShardedTable(layer, collectives)
        return True

    return build


def _build_by_chunk(layer: keras.layers.Embedding) -> bool:
    """Build a layer with all rows, where they are made piece by piece to save memory."""
    rows, width = int(layer.input_dim), int(layer.output_dim)
    if len(list_chunks(rows, width)) == 1:
        return False
    layer._embeddings = layer.add_weight(
        shape=(rows, width), initializer="zeros", name="embeddings", trainable=True
    )
    for chunk, values in draw_initial_rows(layer, get_initial_seed(layer)):
        put_rows(layer._embeddings, chunk, values)
    return True
