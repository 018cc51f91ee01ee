"""Sum the gradients of table rows by id, in an order that the number of ranks does not change.

A batch touches few rows of a large table. The gradient of the table is then a list of ids and of
rows, with an id as often as the batch has it. Each rank sums its rows by id within every canonical
shard; ranks own neighbouring shards, so the concatenation over ranks has the shards in their order,
and the sum over it, id by id from the first shard to the last, is made of the same additions at any
number of ranks. See `stream.plan`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives
from headrace.distributed.rank.member_collectives import from_bits, to_bits
from headrace.train.sharded_tables import ShardedTable


class RowGradient(NamedTuple):
    """The gradient of a table by row.

    Attributes:
        ids: int32 (n,).
        rows: float32 (n, width).
        shards: number of the canonical shard among those of the rank, int32 (n,).
    """

    ids: tf.Tensor
    rows: tf.Tensor
    shards: tf.Tensor


def sum_within_shards(
    ids: tf.Tensor, rows: tf.Tensor, shards: int, is_batch: tf.Tensor | bool = True
) -> RowGradient:
    """Sum the rows of each id and shard; the first shard's come first.

    Args:
        ids: (n,), of a batch whose shards lie one after the other.
        rows: float32 (n, width).
        shards: number of them; it divides n.
        is_batch: whether the ids are those of the batch's rows, as many of each; otherwise they
            belong to no shard, and all are summed as one.
    """
    ids = tf.cast(ids, tf.int32)
    of_shard = tf.maximum(tf.size(ids) // shards, 1)
    shard = tf.where(is_batch, tf.range(tf.size(ids)) // of_shard, 0)
    return _sum_shards(RowGradient(ids, rows, shard), shards)


def merge_batches(batches: RowGradient, shards: int) -> RowGradient:
    """Sum the rows of several batches, one after the other, as `sum_within_shards` does of one."""
    order = tf.argsort(batches.shards, stable=True)
    return _sum_shards(RowGradient(*(tf.gather(part, order) for part in batches)), shards)


def _sum_shards(gradient: RowGradient, shards: int) -> RowGradient:
    if shards == 1:
        ids, rows = sum_by_id(gradient.ids, gradient.rows)
        return RowGradient(ids, rows, tf.zeros_like(ids))
    keys = tf.cast(gradient.ids, tf.int64) * shards + tf.cast(gradient.shards, tf.int64)
    keys, rows = _sum_by_key(keys, gradient.rows)
    return RowGradient(tf.cast(keys // shards, tf.int32), rows, tf.cast(keys % shards, tf.int32))


def fill_up(gradient: RowGradient) -> RowGradient:
    """Append rows of zeros under the first id, so that the number of rows seldom differs.

    It becomes a multiple of an eighth of the largest power of two within it. Horovod negotiates
    with every rank about a message of another size than the last one's (1 to 3 ms on loopback). A
    sum keeps its bits where 0 is added.

    Args:
        gradient: of one row at least.
    """
    count = tf.size(gradient.ids)
    exponent = tf.math.floor(tf.math.log(tf.cast(count, tf.float64)) / math.log(2.0))
    quantum = tf.maximum(2 ** tf.cast(exponent, tf.int32) // 8, 1)
    missing = -count % quantum
    first_id, first_shard = gradient.ids[0], gradient.shards[0]
    return RowGradient(
        tf.concat([gradient.ids, tf.fill([missing], first_id)], 0),
        tf.pad(gradient.rows, [[0, missing], [0, 0]]),
        tf.concat([gradient.shards, tf.fill([missing], first_shard)], 0),
    )


def sum_by_id(ids: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sum the rows of each id, one after the other; ids come in the order of their first row."""
    return _sum_by_key(ids, rows)


def _sum_by_key(keys: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # On a CPU a segment is summed by one thread, from its first row to its last. A GPU would add in
    # any order, and ranks would drift apart: every rank makes these sums for itself.
    with tf.device("/CPU:0"):
        unique, position = tf.unique(keys)
        return unique, tf.math.unsorted_segment_sum(rows, position, tf.size(unique))


def gather_over_ranks(
    gradients: Sequence[RowGradient],
    collectives: Collectives,
    compression: str,
    scales: Sequence[tf.Tensor],
    shards: Sequence[ShardedTable | None],
) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Return ids and rows of all ranks, by rank, for every table.

    Args:
        gradients: of this rank, summed within shards.
        collectives: the ranks, which call this together.
        compression: see `StepOptions`.
        scales: float32 scalars that bring each table's rows into the range of float16; read where
            that is the compression.
        shards: of each table that is split over ranks: it gets the rows of its own ids alone.
    """
    if collectives.size == 1 or not gradients:
        return [(gradient.ids, gradient.rows) for gradient in gradients]
    messages = []
    for number, gradient in enumerate(gradients):
        rows = gradient.rows
        if compression == "fp16":
            rows = tf.cast(rows * scales[number], tf.float16)
        elif compression == "bf16":
            rows = to_bits(rows)
        messages.append(_pack(gradient.ids, rows))
    received: list[tf.Tensor] = [None] * len(messages)
    whole = [number for number, shard in enumerate(shards) if shard is None]
    parts = collectives.allgather_rows([messages[number] for number in whole]) if whole else []
    for number, part in zip(whole, parts, strict=True):
        received[number] = part
    for number, shard in enumerate(shards):
        if shard is not None:
            # From the first rank to the last, and of each in the order of its shards: the same
            # additions as where every rank gets all rows.
            received[number], *_ = shard.send_by_owner(gradients[number].ids, messages[number])
    gathered = []
    for number, message in enumerate(received):
        ids, rows = _unpack(message)
        if compression == "fp16":
            rows = tf.cast(rows, tf.float32) / scales[number]
        elif compression == "bf16":
            rows = from_bits(rows)
        gathered.append((ids, rows))
    return gathered


def _pack(ids: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Put the bits of the ids before the rows: one message in place of two."""
    words = tf.reshape(tf.bitcast(ids, rows.dtype), [tf.size(ids), 4 // rows.dtype.size])
    return tf.concat([words, rows], axis=1)


def _unpack(message: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the ids and rows of a message."""
    words = 4 // message.dtype.size
    bits = message[:, 0] if words == 1 else message[:, :words]
    return tf.bitcast(bits, tf.int32), message[:, words:]
