"""Which devices and threads a rank may use; called once, before TensorFlow's first operation."""

import socket

import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives

_WIDTH = 120


def configure_devices(local_rank: int, threads: int) -> str:
    """Pin the rank to its GPU, if there are any, and bound its compute threads.

    Args:
        local_rank: the rank's number on its host; it gets the GPU of that number.
        threads: TensorFlow's threads within an operation; operations run one at a time.

    Returns:
        what the rank computes on, and where, for people.
    """
    host = socket.gethostname()
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        mine = gpus[local_rank % len(gpus)]
        tf.config.set_visible_devices(mine, "GPU")
        tf.config.experimental.set_memory_growth(mine, True)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if not gpus:
        return f"{host} CPU, {threads} {'thread' if threads == 1 else 'threads'}"
    details = tf.config.experimental.get_device_details(mine)
    return f"{host} {mine.name.removeprefix('/physical_device:')} {details.get('device_name', '')}"


def device_map(collectives: Collectives) -> list[str]:
    """What every rank computes on, by rank."""
    mine = np.zeros((1, _WIDTH), np.uint8)
    text = collectives.device.encode()[:_WIDTH]
    mine[0, : len(text)] = np.frombuffer(text, np.uint8)
    return [bytes(row).rstrip(b"\0").decode(errors="replace") for row in collectives.gather(mine)]
