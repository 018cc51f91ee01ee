"""Sum gradients over batches and over ranks, those of table rows beside dense ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives
from headrace.train.row_gradients import RowGradient, fill_up, gather_over_ranks, merge_batches
from headrace.train.sharded_tables import ShardedTable

# Gradients of 16 bits are scaled to numbers up to two to this.
_HALF_EXPONENT = 15.0


@dataclass(frozen=True)
class GradientSums:
    """Sums over rows, of a batch or of several.

    Attributes:
        dense: gradients of the variables that are not trained by row.
        rows: gradients of the others, a table each.
        loss, weight: float32 scalars.
    """

    dense: list[tf.Tensor]
    rows: list[RowGradient]
    loss: tf.Tensor
    weight: tf.Tensor


def fill_up_rows(sums: GradientSums, shards: Sequence[ShardedTable | None]) -> GradientSums:
    """Return the sums with as many rows of each table as a message has, see `fill_up`.

    Args:
        sums: of this rank.
        shards: of each table that is split over ranks: its messages have any length.
    """
    pairs = zip(sums.rows, shards, strict=True)
    rows = [rows if shard else fill_up(rows) for rows, shard in pairs]
    return GradientSums(sums.dense, rows, sums.loss, sums.weight)


class Accumulation:
    """The sums of the batches since the last update."""

    def __init__(
        self, variables: Sequence[tf.Variable], table_widths: Sequence[int], shards: int
    ) -> None:
        """
        Args:
            variables: that have dense gradients.
            table_widths: numbers of a row, for each table that is trained by row.
            shards: see `StepOptions`.
        """
        self._shards = shards
        zeros = [*(tf.zeros_like(v) for v in variables), *[tf.constant(0.0)] * 2]
        self._totals = [tf.Variable(zero, trainable=False) for zero in zeros]
        self._rows = [_make_growing_rows(width) for width in table_widths]

    def add_batch(self, sums: GradientSums) -> GradientSums:
        """Add a batch, and return the sums since the last update."""
        parts = [*sums.dense, sums.loss, sums.weight]
        *dense, loss, weight = [
            tf.convert_to_tensor(total.assign_add(part))
            for total, part in zip(self._totals, parts, strict=True)
        ]
        rows = []
        for total, part in zip(self._rows, sums.rows, strict=True):
            both = RowGradient(*(tf.concat(pair, 0) for pair in zip(total, part, strict=True)))
            merged = merge_batches(both, self._shards)
            pairs = zip(total, merged, strict=True)
            rows.append(RowGradient(*(tf.convert_to_tensor(v.assign(new)) for v, new in pairs)))
        return GradientSums(dense, rows, loss, weight)

    def reset(self) -> None:
        """Begin anew, after an update."""
        for total in self._totals:
            total.assign(tf.zeros_like(total))
        for rows in self._rows:
            for variable in rows:
                variable.assign(variable[:0])


def sum_over_ranks(
    sums: GradientSums,
    request: tf.Tensor,
    collectives: Collectives,
    compression: str,
    shards: Sequence[ShardedTable | None] = (),
) -> tuple[list[tf.Tensor], list[tuple[tf.Tensor, tf.Tensor]]]:
    """Sum over all ranks what is dense, and gather rows.

    Args:
        sums: of this rank.
        request: float32 scalar that is summed, too.
        collectives: the ranks, which call this together.
        compression: see `StepOptions`.
        shards: of each table that is split over ranks; None where a table is whole.

    Returns:
        dense gradients, loss, weight and request; ids and rows of every table, by rank.
    """
    scalars = [sums.loss, sums.weight, request]
    if compression == "none" or collectives.size == 1:
        totals = collectives.allreduce([*sums.dense, *scalars])
        return totals, gather_over_ranks(sums.rows, collectives, "none", [], shards)
    addends = [tf.cast(gradient, tf.float32) for gradient in sums.dense]
    row_scales: list[tf.Tensor] = []
    if compression == "bf16":
        totals = collectives.allreduce_bfloat16(addends)
        scalars = collectives.allreduce(scalars)
    else:
        # No sum is larger than that of the ranks' largest numbers: by it each gradient is
        # brought into the range of 16 bits, by a power of two, which rounds nothing.
        parts = [*addends, *(gradient.rows for gradient in sums.rows)]
        # A rank may have no row of a table: the largest of none is no infinity.
        largest = tf.stack([tf.maximum(tf.reduce_max(tf.abs(part)), 0.0) for part in parts])
        *scalars, bounds = collectives.allreduce([*scalars, largest])
        scales = tf.unstack(_choose_scales(bounds))
        scales, row_scales = scales[: len(addends)], scales[len(addends) :]
        with tf.control_dependencies([bounds]):  # the same order on every rank
            halves = [
                tf.cast(addend * scale, tf.float16)
                for addend, scale in zip(addends, scales, strict=True)
            ]
            halves = collectives.allreduce(halves)
        totals = [
            tf.cast(half, tf.float32) / scale for half, scale in zip(halves, scales, strict=True)
        ]
    with tf.control_dependencies([*totals, *scalars]):
        gathered = gather_over_ranks(sums.rows, collectives, compression, row_scales, shards)
    pairs = zip(totals, sums.dense, strict=True)
    return [*(tf.cast(total, v.dtype) for total, v in pairs), *scalars], gathered


def _choose_scales(bounds: tf.Tensor) -> tf.Tensor:
    """Return powers of two that bring numbers up to these bounds, float32, below 2**15.

    The largest of 16 bits is 65,504: sums of rounded numbers are below it, too. What is not finite
    stays so.
    """
    exponents = _HALF_EXPONENT - tf.math.ceil(tf.math.log(bounds) / tf.math.log(2.0))
    exponents = tf.clip_by_value(exponents, -115.0, 115.0)
    return tf.where(bounds > 0, tf.pow(2.0, exponents), tf.ones_like(bounds))


def _make_growing_rows(width: int) -> RowGradient:
    """Return variables that hold the rows of several batches, none at first."""
    zeros = (tf.zeros(0, tf.int32), tf.zeros((0, width)), tf.zeros(0, tf.int32))
    return RowGradient(
        *(tf.Variable(z, shape=(None, *z.shape[1:]), trainable=False) for z in zeros)
    )
