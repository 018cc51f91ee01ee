"""Whether the ranks still have the same weights."""

import hashlib

import keras
import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.errors import TrainError


def weights_checksum(model: keras.Model) -> str:
    """SHA-256 of all weights, bit for bit."""
    state = hashlib.sha256()
    for variable in model.weights:
        state.update(keras.ops.convert_to_numpy(variable).tobytes())
    return state.hexdigest()


def compare_weights(model: keras.Model, collectives: Collectives, when: str) -> list[str]:
    """The checksum of every rank's weights.

    Raises:
        TrainError: they differ.
    """
    mine = np.frombuffer(bytes.fromhex(weights_checksum(model)), dtype=np.uint8)[None]
    checksums = [row.tobytes().hex() for row in collectives.gather(mine)]
    if len(set(checksums)) > 1:
        usual = max(checksums, key=checksums.count)
        odd = [rank for rank, found in enumerate(checksums) if found != usual]
        shown = ", ".join(f"rank {rank} {found[:8]}" for rank, found in enumerate(checksums))
        who = f"rank {odd[0]} differs from most" if len(checksums) > 2 else "the ranks differ"
        raise TrainError(
            f"{when} the ranks have different weights ({shown}; {who}); nothing was registered. "
            "A step was left out, gradients were not reduced alike, or a device is damaged"
        )
    return checksums
