"""A rank's batches as a tf.data dataset: named tensors of static shape, prefetched."""

from collections.abc import Iterator

import tensorflow as tf

from pipelines.stream.split_stream import Batch, SplitStream


def tf_batches(
    stream: SplitStream, epoch: int, first_step: int = 0
) -> Iterator[dict[str, tf.Tensor]]:
    """The elements of `as_tf_dataset`, with the stream's own error where one is raised.

    Raises:
        StreamError: a row group cannot be read, or rows delivered differ from the plan. TensorFlow
            alone would give an `UnknownError` with the text somewhere inside.
    """
    failures: list[Exception] = []
    try:
        yield from as_tf_dataset(stream, epoch, first_step, failures)
    except tf.errors.OpError:
        if failures:
            raise failures[0] from None
        raise


def as_tf_dataset(
    stream: SplitStream,
    epoch: int,
    first_step: int = 0,
    failures: list[Exception] | None = None,
) -> tf.data.Dataset:
    """Batches of an epoch as dicts of tensors.

    Args:
        stream: the rank's view of a split.
        epoch: decides the order of rows.
        first_step: where to begin; earlier steps are not read.
        failures: gets what the stream raises, which TensorFlow would only pass on as text.

    Returns:
        a dataset of `stream.steps - first_step` elements: the arrays of `stream.columns`, and
        `weight` float32 (batch,), with batch = `stream.batch_size_per_rank` rows each. Two batches
        are prefetched.
    """
    signature = {
        name: tf.TensorSpec(array.shape, array.dtype)
        for name, array in stream.columns.empty(stream.batch_size_per_rank).items()
    }
    signature["weight"] = tf.TensorSpec((stream.batch_size_per_rank,), tf.float32)

    def generate() -> Iterator[Batch]:
        try:
            yield from stream.batches(epoch, first_step)
        except Exception as error:
            if failures is not None:
                failures.append(error)
            raise

    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 2
    return dataset.prefetch(2).with_options(options)
