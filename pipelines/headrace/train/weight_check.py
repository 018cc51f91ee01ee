"""Check that all ranks have the same weights."""

import hashlib

import keras
import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.errors import TrainError


def compute_weights_checksum(model: keras.Model) -> str:
    """Compute the SHA-256 of all weights, bit for bit."""
    digest = hashlib.sha256()
    for variable in model.weights:
        digest.update(keras.ops.convert_to_numpy(variable).tobytes())
    return digest.hexdigest()


def compare_weights(model: keras.Model, collectives: Collectives, when: str) -> list[str]:
    """Compare the weights of all ranks, and return each rank's checksum.

    Args:
        model: of this rank.
        collectives: the ranks.
        when: point in the training, for the error.

    Raises:
        TrainError: the ranks' weights differ.
    """
    digest = np.frombuffer(bytes.fromhex(compute_weights_checksum(model)), dtype=np.uint8)
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
