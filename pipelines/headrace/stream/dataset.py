"""Turn a rank's stream into tensors that share the memory of its batches, or a tf.data dataset.

A row is copied three times on its way here: decoded by pyarrow, into its block's array, and
permuted into its batch (`batch_assembly.py`). Tensors share the batch stack's memory wherever a
batch of an array has a multiple of 64 bytes, and otherwise copy it once.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from headrace.stream.batch_assembly import Batch
from headrace.stream.split_stream import SplitStream

# TensorFlow ends the process where an operation meets a tensor at another address.
_ALIGNMENT = 64


def read_tf_batches(
    stream: SplitStream, epochs: Sequence[int], first_step: int = 0
) -> Iterator[dict[str, tf.Tensor]]:
    """Read the batches of one epoch after the other as tensors of the CPU, without tf.data.

    An epoch's rows have been accounted for when its last batch is yielded. A batch's memory is
    reused when nothing refers to its tensors any more.

    Args:
        stream, epochs, first_step: see `make_tf_dataset`.

    Raises:
        StreamError: a row group cannot be read, or the delivered rows differ from the plan.
    """
    for batch in stream.read_epochs(epochs, first_step):
        yield {name: _share_memory(array) for name, array in batch.items()}


def _share_memory(array: np.ndarray) -> tf.Tensor:
    """Return a tensor that shares an array's memory, or a copy where it is not aligned."""
    if array.ctypes.data % _ALIGNMENT:
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def make_tf_dataset(
    stream: SplitStream, epochs: Sequence[int], first_step: int = 0
) -> tf.data.Dataset:
    """Make a dataset of the batches of one epoch after the other, as dicts of tensors.

    An error of the stream is raised as TensorFlow's, with the text somewhere inside.

    Args:
        stream: the rank's view of a split.
        epochs: numbers of the epochs, which decide the order of rows.
        first_step: first step of the first epoch; earlier steps are not read.

    Returns:
        a dataset of `len(epochs) * stream.steps - first_step` elements: the arrays of
        `stream.columns`, and `weight` float32 (batch,), with batch = `stream.batch_size_per_rank`
        rows each. Two batches are prefetched.
    """

    def generate_stacks() -> Iterator[Batch]:
        yield from stream.read_batch_stacks(epochs, first_step)

    return _limit_threads(_generate_batches(stream, generate_stacks).prefetch(2))


def make_fit_dataset(stream: SplitStream, first_epoch: int = 0) -> tf.data.Dataset:
    """Make a dataset of one epoch for `model.fit`, another one at every pass: the first pass that
    is begun has the rows of the first epoch, the next one those of the following epoch.

    Args:
        stream: the rank's view of a split.
        first_epoch: number of the first pass's epoch.

    Returns:
        a dataset of `stream.steps` elements (inputs, label, weight): the arrays of
        `stream.columns` but for `label` and `sample_weight`; the label; and float32 (batch,), the
        product of both weights. Two batches are prefetched.
    """
    epochs = itertools.count(first_epoch)

    def generate_stacks() -> Iterator[Batch]:
        yield from stream.read_batch_stacks([next(epochs)])

    def split_batch(batch: dict[str, tf.Tensor]) -> tuple[dict[str, Any], tf.Tensor, tf.Tensor]:
        inputs = dict(batch)
        label, weight = inputs.pop("label"), inputs.pop("weight")
        if "sample_weight" in inputs:
            weight = weight * inputs.pop("sample_weight")
        return inputs, label, weight

    dataset = _generate_batches(stream, generate_stacks).map(split_batch)
    counted = dataset.apply(tf.data.experimental.assert_cardinality(stream.steps))
    return _limit_threads(counted.prefetch(2))


def _generate_batches(
    stream: SplitStream, generate_stacks: Callable[[], Iterator[Batch]]
) -> tf.data.Dataset:
    """Make a dataset of the batches in the stacks that are generated at each pass over it."""
    rows = stream.batch_size_per_rank
    signature = {
        name: tf.TensorSpec((None, *array.shape), array.dtype)
        for name, array in stream.columns.allocate_arrays(rows).items()
    }
    signature["weight"] = tf.TensorSpec((None, rows), tf.float32)
    # Python yields stacks of several batches, and each batch's tensors share a stack's memory.
    dataset = tf.data.Dataset.from_generator(generate_stacks, output_signature=signature)
    return dataset.flat_map(tf.data.Dataset.from_tensor_slices)


def _limit_threads(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 2
    return dataset.with_options(options)
