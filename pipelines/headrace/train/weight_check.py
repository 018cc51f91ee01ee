"""Check that all ranks have the same weights."""

import hashlib

import keras
import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.errors import TrainError
from headrace.models.table_storage import list_chunks, take_rows
from headrace.train.sharded_tables import list_sharded_tables
from headrace.train.variables import list_whole_variables


def compute_weights_checksum(model: keras.Model, rows: int = 0) -> str:
    """Compute the SHA-256 of all weights, bit for bit, that every rank has whole.

    Args:
        model: of this rank.
        rows: see `sum_sharded_rows`; 0 where they do not count.
    """
    digest = hashlib.sha256()
    for variable in list_whole_variables(model, None).weights:
        digest.update(keras.ops.convert_to_numpy(variable).tobytes())
    if rows:
        digest.update(rows.to_bytes(8, "little"))
    return digest.hexdigest()


_NUMBERS = 2**20  # that are hashed at once


def sum_sharded_rows(model: keras.Model, collectives: Collectives) -> int:
    """Return a number that all rows of all sharded tables determine, on any number of ranks.

    All ranks call it together. It is the sum of a hash of each number's bits and place, modulo
    2**64; 0 where no table is sharded.
    """
    tables = list_sharded_tables(model)
    if not tables:
        return 0
    own = np.zeros(1, np.uint64)
    for number, table in enumerate(tables):
        count, width = map(int, table.variable.shape)
        columns = np.arange(width, dtype=np.uint64)
        for chunk in list_chunks(count, width, _NUMBERS):
            rows = np.arange(chunk.start, chunk.stop, dtype=np.uint64)
            rows = rows * np.uint64(collectives.size) + np.uint64(collectives.rank)
            places = rows[:, None] * np.uint64(width) + columns + np.uint64(number << 56)
            bits = take_rows(table.variable, chunk).view(np.uint32).astype(np.uint64)
            own += _mix(_mix(places) ^ bits).sum(dtype=np.uint64)
    sums = collectives.allgather(own.view(np.int64)).view(np.uint64)
    return int(sums.sum(dtype=np.uint64))


def _mix(numbers: np.ndarray) -> np.ndarray:
    """Return a hash of each uint64, the finalizer of MurmurHash3."""
    for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    return numbers ^ (numbers >> np.uint64(33))


def compare_weights(
    model: keras.Model, collectives: Collectives, when: str, *, with_shards: bool = False
) -> list[str]:
    """Compare the weights that all ranks have, and return each rank's checksum.

    Args:
        model: of this rank.
        collectives: the ranks.
        when: point in the training, for the error.
        with_shards: whether the checksums are to cover sharded tables, of which no two ranks have
            the same rows.

    Raises:
        TrainError: the ranks' weights differ.
    """
    rows = sum_sharded_rows(model, collectives) if with_shards else 0
    digest = np.frombuffer(bytes.fromhex(compute_weights_checksum(model, rows)), dtype=np.uint8)
    checksums = [row.tobytes().hex() for row in collectives.allgather(digest[None])]
    if len(set(checksums)) > 1:
        majority = max(checksums, key=checksums.count)
        odd_rank = next(rank for rank, checksum in enumerate(checksums) if checksum != majority)
        shown = ", ".join(f"rank {rank} {value[:8]}" for rank, value in enumerate(checksums))
        culprit = f"rank {odd_rank} differs from most" if len(checksums) > 2 else "the ranks differ"
        raise TrainError(
            f"{when} the ranks have different weights ({shown}; {culprit}); nothing was "
            "registered. A rank skipped a step, gradients were not reduced alike, or a device is "
            "damaged"
        )
    return checksums
