"""Bring what all ranks have to where it is needed: rows to rank 0 alone, and sums to every rank.

An allgather gives every rank a copy of all rows; one that needs none of them has no room for it.
"""

import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives

_PIECE_BYTES = 2**20  # of a rank's rows that travel at once
_LEAST_SUMS = 2**10


def gather_to_rank_0(array: np.ndarray, collectives: Collectives) -> np.ndarray:
    """Return the concatenation of all ranks' arrays, by rank, on rank 0; no rows elsewhere.

    Args:
        array: (n, ...) of numbers, with any n per rank.
        collectives: the ranks, which call this together.
    """
    if collectives.size == 1:
        return array
    row_bytes = max(1, array[:1].nbytes or array.dtype.itemsize * int(np.prod(array.shape[1:])))
    step = max(1, _PIECE_BYTES // row_bytes)
    own_pieces = np.array([-(-len(array) // step)], np.int64)
    by_rank: list[list[np.ndarray]] = [[] for _ in range(collectives.size)]
    for piece in range(int(collectives.allgather(own_pieces).max())):
        part = np.ascontiguousarray(array[piece * step : (piece + 1) * step])
        counts = np.zeros(collectives.size, np.int32)
        counts[0] = len(part)
        rows, sent = collectives.alltoall_rows(tf.constant(part), tf.constant(counts))
        if collectives.rank == 0:
            received = np.split(np.asarray(rows), np.cumsum(np.asarray(sent))[:-1])
            for parts, own in zip(by_rank, received, strict=True):
                parts.append(own)
    return np.concatenate([array[:0], *(part for parts in by_rank for part in parts)])


class CollectiveSums:
    """The sums of `labels.sketch.rank_sums.RankSums`, over collectives."""

    def __init__(self, collectives: Collectives) -> None:
        self._collectives = collectives

    def add(self, counts: np.ndarray) -> np.ndarray:
        """Return int64 arrays added up over ranks."""
        if self._collectives.size == 1:
            return counts
        # Filled up to a power of two: every new shape may be a graph that stays.
        length = max(_LEAST_SUMS, 1 << (counts.size - 1).bit_length())
        filled = np.zeros(length, np.int64)
        filled[: counts.size] = counts.reshape(-1)
        (total,) = self._collectives.allreduce([tf.constant(filled)])
        return np.asarray(total)[: counts.size].reshape(counts.shape)

    def find_largest(self, values: np.ndarray) -> np.ndarray:
        """Return the largest of each value over ranks, float64."""
        gathered = self._collectives.allgather(values.astype(np.float64)[np.newaxis])
        return np.asarray(gathered.max(axis=0))
