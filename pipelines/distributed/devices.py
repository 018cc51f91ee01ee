"""Which devices and threads a rank may use; called once, before TensorFlow's first operation."""

import tensorflow as tf


def configure_devices(local_rank: int, threads: int) -> None:
    """Pin the rank to its GPU, if there are any, and bound its compute threads.

    Args:
        local_rank: the rank's number on its host; it gets the GPU of that number.
        threads: TensorFlow's threads within an operation; operations run one at a time.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        mine = gpus[local_rank % len(gpus)]
        tf.config.set_visible_devices(mine, "GPU")
        tf.config.experimental.set_memory_growth(mine, True)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
