"""Choose the devices and threads of a rank, and gather what all ranks compute on.

`configure_devices` is called once, before TensorFlow's first operation.
"""

import socket

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives

_DESCRIPTION_BYTES = 120


def configure_devices(local_rank: int, threads: int) -> str:
    """Pin the rank to its GPU, if there are any, and limit its compute threads.

    Args:
        local_rank: the rank's number on its host; it gets the GPU of that number.
        threads: TensorFlow's threads within an operation; operations run one at a time.

    Returns:
        host and device that the rank computes on, in words.
    """
    host = socket.gethostname()
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        gpu = gpus[local_rank % len(gpus)]
        tf.config.set_visible_devices(gpu, "GPU")
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if not gpus:
        return f"{host} CPU, {threads} {'thread' if threads == 1 else 'threads'}"
    details = tf.config.experimental.get_device_details(gpu)
    return f"{host} {gpu.name.removeprefix('/physical_device:')} {details.get('device_name', '')}"


def configure_keras() -> list[str]:
    """Set what another project's `keras.json` may have changed for all of this user's processes.

    Weights would be of another type, images read in another order, without an error.

    Returns:
        what was set otherwise, in words.
    """
    config = keras.config
    told = []
    for name, read, write, value in (
        ("floatx", config.floatx, config.set_floatx, "float32"),
        ("epsilon", config.epsilon, config.set_epsilon, 1e-7),
        (
            "image_data_format",
            config.image_data_format,
            config.set_image_data_format,
            "channels_last",
        ),
    ):
        if read() != value:
            told.append(f"keras.json has {name} {read()}, which is not used: it is {value} here")
            write(value)
    return told


def gather_devices(collectives: Collectives) -> list[str]:
    """Gather the ranks' descriptions of their devices, by rank; each is cut to 120 bytes."""
    row = np.zeros((1, _DESCRIPTION_BYTES), np.uint8)
    description = collectives.device.encode()[:_DESCRIPTION_BYTES]
    row[0, : len(description)] = np.frombuffer(description, np.uint8)
    rows = collectives.allgather(row)
    return [bytes(row).rstrip(b"\0").decode(errors="replace") for row in rows]
