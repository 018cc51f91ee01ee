"""Read sharded tables on rank 0 while the other ranks follow: to export a model, and to predict.

Rank 0 asks, and all ranks do the same: those other than 0 are in `follow_rank_0` until it is done.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives
from headrace.models.predict import Predictor, place_on_cpu
from headrace.models.table_storage import take_rows
from headrace.train.sharded_tables import ShardedTable, list_own_rows, list_sharded_tables

_ROWS, _PREDICT, _DONE = "rows", "predict", "done"


class TableReader:
    """The sharded tables of a model, as one rank of several sees them."""

    def __init__(self, model: keras.Model, collectives: Collectives) -> None:
        """
        Args:
            model: with the rows of this rank.
            collectives: the ranks.
        """
        self._tables = {table.layer.name: table for table in list_sharded_tables(model)}
        self._collectives = collectives
        self._predictor = Predictor(model)

    @property
    def names(self) -> list[str]:
        """Return the names of the tables' layers."""
        return list(self._tables)

    def read_rows(self, name: str, rows: range) -> np.ndarray:
        """Return consecutive rows of a table, float32 (n, width); rank 0 calls it."""
        self._collectives.heartbeat.beat()
        self._collectives.broadcast_object([_ROWS, name, rows.start, rows.stop])
        return self._gather_rows(self._tables[name], rows)

    def predict_inputs(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the model's output for rows that are all in memory; rank 0 calls it."""
        self._collectives.broadcast_object([_PREDICT, dict(inputs)])
        return self._predict(inputs)

    @contextmanager
    def lead(self) -> Iterator[None]:
        """Let the other ranks follow in the block; rank 0 calls it."""
        try:
            yield
        finally:
            self._collectives.broadcast_object([_DONE])

    def follow_rank_0(self) -> None:
        """Do what rank 0 asks for until it is done; all other ranks call it."""
        while (order := self._collectives.broadcast_object(None))[0] != _DONE:
            self._collectives.heartbeat.beat()
            if order[0] == _ROWS:
                self._gather_rows(self._tables[order[1]], range(order[2], order[3]))
            else:
                self._predict(order[1])

    def _gather_rows(self, table: ShardedTable, rows: range) -> np.ndarray:
        """Send this rank's rows to rank 0, and return all rows there; none elsewhere."""
        ranks = self._collectives
        own = list_own_rows(rows, ranks.rank, ranks.size)
        start = own.start // ranks.size
        values = tf.convert_to_tensor(take_rows(table.variable, range(start, start + len(own))))
        counts = tf.constant([len(own), *[0] * (ranks.size - 1)], tf.int32)
        received, _ = ranks.alltoall_rows(values, counts)
        gathered = np.asarray(received)
        if ranks.rank:
            return gathered
        result = np.empty((len(rows), table.width), np.float32)
        first = 0
        for rank in range(ranks.size):
            theirs = list_own_rows(rows, rank, ranks.size)
            result[theirs.start - rows.start :: ranks.size] = gathered[first : first + len(theirs)]
            first += len(theirs)
        return result

    def _predict(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        with place_on_cpu():
            return self._predictor.predict_inputs(inputs)
