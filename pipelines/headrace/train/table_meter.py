"""Measure what sparse tables cost a training: rows, bytes, and the time of each part alone."""

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives
from headrace.models.gathered import get_table
from headrace.train.row_gradients import RowGradient, gather_over_ranks
from headrace.train.row_optimizer import AnyOptimizer, RowOptimizer
from headrace.train.tables import TableTraining

# Of a row on its way between ranks, by compression.
_ID_BYTES, _NUMBER_BYTES = 4, {"none": 4, "fp16": 2, "bf16": 2}
_MEASUREMENTS = 5


class TableMeter:
    """The counts of a training's updates, and a way to time their parts."""

    def __init__(
        self,
        tables: Sequence[TableTraining],
        collectives: Collectives,
        compression: str,
    ) -> None:
        """
        Args:
            tables: that have gradients of rows.
            collectives: the ranks.
            compression: see `StepOptions`.
        """
        self._tables, self._collectives = list(tables), collectives
        self._shards = [table.shard for table in tables]
        layers = self._layers = [table.layer for table in tables]
        self._compression = compression
        self._row_bytes = [
            _ID_BYTES + layer.output_dim * _NUMBER_BYTES[compression] for layer in layers
        ]
        # Rows of whole tables are the same on all ranks, those of shards this rank's alone.
        self._updates, self._touched, self._touched_own, self._sent = (
            tf.Variable(0, dtype=tf.int64, trainable=False) for _ in range(4)
        )
        self._counted = (0, 0, 0)
        # Ids of the last batch as it looked them up; of the last update those that this rank sent,
        # and those of all ranks, each once.
        self._looked_up, self._sent_ids, self._touched_ids = (
            [_make_ids() for _ in self._layers] for _ in range(3)
        )
        self._seconds: dict[str, float] = {}

    def note_lookups(self, ids: Sequence[tf.Tensor]) -> None:
        """Note the ids of a batch for every table, within the step's graph."""
        for variable, own in zip(self._looked_up, ids, strict=True):
            variable.assign(tf.cast(tf.reshape(own, [-1]), tf.int32))
        if self._collectives.size > 1:
            for shard in filter(None, self._shards):
                sent = shard.sent * _ID_BYTES + shard.asked * shard.width * _NUMBER_BYTES["none"]
                self._sent.assign_add(tf.cast(sent, tf.int64))

    def count_update(
        self, sent: Sequence[RowGradient], touched: Sequence[tuple[tf.Tensor, tf.Tensor]]
    ) -> None:
        """Count an update, within the step's graph.

        Args:
            sent: what this rank has of every table.
            touched: ids of all ranks, each once, and their rows; of a sharded table those that this
                rank has.
        """
        if not self._layers:
            return
        self._updates.assign_add(1)
        for (ids, _), shard in zip(touched, self._shards, strict=True):
            (self._touched_own if shard else self._touched).assign_add(tf.size(ids, tf.int64))
        if self._collectives.size > 1:
            pairs = zip(sent, self._row_bytes, strict=True)
            self._sent.assign_add(tf.add_n([tf.size(s.ids, tf.int64) * b for s, b in pairs]))
        for variable, gradient in zip(self._sent_ids, sent, strict=True):
            variable.assign(gradient.ids)
        for variable, (ids, _) in zip(self._touched_ids, touched, strict=True):
            variable.assign(ids)

    def describe_updates(self) -> dict[str, float]:
        """Return means of the updates since this was asked last; empty where no table is sparse.

        All ranks call this together. `table_rows_per_update` is of all ranks,
        `table_bytes_per_update` what this rank sent.
        """
        touched = int(self._touched)
        if any(self._shards):
            own = np.array([int(self._touched_own)], np.int64)
            touched += int(self._collectives.allgather(own).sum())
        now = (int(self._updates), touched, int(self._sent))
        updates, rows, bytes_ = (new - old for new, old in zip(now, self._counted, strict=True))
        self._counted = now
        if not updates:
            return {}
        return {
            "table_rows_per_update": rows / updates,
            "table_bytes_per_update": bytes_ / updates,
        }

    def measure_seconds(self, optimizer: AnyOptimizer) -> dict[str, float]:
        """Measure the parts of the last update once more, alone: lookup, exchange and update.

        All ranks call this together. It is measured once, the median of five; afterwards tables and
        moments have the bits that they had.

        Args:
            optimizer: of the training. What Keras updates as a whole has no `update` here.
        """
        if not self._seconds and self._layers and int(self._updates):
            self._seconds = {
                "lookup": _time_calls(self._look_up),
                "exchange": _time_calls(self._exchange) if self._collectives.size > 1 else 0.0,
            }
            if isinstance(optimizer, RowOptimizer):
                tables = [layer._embeddings for layer in self._layers]
                ids = [tf.convert_to_tensor(variable) for variable in self._touched_ids]
                self._seconds["update"] = _time_calls(lambda: optimizer.rehearse(tables, ids))
        return self._seconds

    def _look_up(self) -> tf.Tensor:
        pairs = zip(self._tables, self._looked_up, strict=True)
        return tf.add_n([tf.reduce_max(_look_up_rows(x, ids)) for x, ids in pairs])

    def _exchange(self) -> tf.Tensor:
        gradients = [
            RowGradient(own, tf.zeros((tf.size(own), layer.output_dim)), tf.zeros_like(own))
            for layer, own in zip(self._layers, self._sent_ids, strict=True)
        ]
        ones = [tf.constant(1.0)] * len(gradients)
        gathered = gather_over_ranks(
            gradients, self._collectives, self._compression, ones, self._shards
        )
        return tf.add_n([tf.reduce_max(rows) for _, rows in gathered])


def _look_up_rows(table: TableTraining, ids: tf.Tensor) -> tf.Tensor:
    """Look up as a batch does, from other ranks too where the table is sharded."""
    return table.shard.look_up(ids) if table.shard else tf.gather(get_table(table.layer), ids)


def _make_ids() -> tf.Variable:
    """Return a variable that holds any number of ids, none at first."""
    return tf.Variable(tf.zeros(0, tf.int32), shape=[None], trainable=False)


def _time_calls(function: Callable[[], tf.Tensor]) -> float:
    compiled = tf.function(function, autograph=False)
    seconds = []
    for _ in range(_MEASUREMENTS + 1):  # the first one compiles
        started_at = time.monotonic()
        float(compiled())
        seconds.append(time.monotonic() - started_at)
    return statistics.median(seconds[1:])
