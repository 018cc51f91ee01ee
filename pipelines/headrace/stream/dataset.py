"""Turn a rank's stream into a tf.data dataset: named tensors of static shape, prefetched.

A row is copied three times on its way here: decoded by pyarrow, into its block's array, and
permuted into its batch (`batch_assembly.py`). tf.data makes no copy: its tensors share the batch
stack's memory wherever a batch of an array has a multiple of 64 bytes, and otherwise copy it once.
"""

import atexit
import weakref
from collections.abc import Iterator, Sequence

import tensorflow as tf

from headrace.stream.batch_assembly import Batch
from headrace.stream.split_stream import SplitStream


def read_tf_batches(
    stream: SplitStream, epochs: Sequence[int], first_step: int = 0
) -> Iterator[dict[str, tf.Tensor]]:
    """Read the elements of `make_tf_dataset`, and raise the stream's own error where it fails.

    An epoch's rows have been accounted for when its last batch is yielded.

    Raises:
        StreamError: a row group cannot be read, or the delivered rows differ from the plan.
            TensorFlow alone would raise an `UnknownError` with the text somewhere inside.
    """
    failures: list[Exception] = []
    opened = _OpenDataset(make_tf_dataset(stream, epochs, first_step, failures))
    try:
        while (batch := next(opened.iterator, None)) is not None:
            yield batch
    except tf.errors.OpError:
        if failures:
            raise failures[0] from None
        raise
    finally:
        opened.close()


class _OpenDataset:
    """A dataset that is being read, and is closed before the interpreter ends.

    TensorFlow would wait, holding the interpreter's lock, for a thread that waits for that lock.
    """

    def __init__(self, dataset: tf.data.Dataset) -> None:
        self.iterator: Iterator[dict[str, tf.Tensor]] = iter(dataset)
        _open_datasets.add(self)

    def close(self) -> None:
        """Stop reading; TensorFlow's threads leave the stream."""
        self.iterator = iter(())


_open_datasets: "weakref.WeakSet[_OpenDataset]" = weakref.WeakSet()


@atexit.register
def _close_open_datasets() -> None:
    for opened in list(_open_datasets):
        opened.close()


def make_tf_dataset(
    stream: SplitStream,
    epochs: Sequence[int],
    first_step: int = 0,
    failures: list[Exception] | None = None,
) -> tf.data.Dataset:
    """Make a dataset of the batches of one epoch after the other, as dicts of tensors.

    Args:
        stream: the rank's view of a split.
        epochs: numbers of the epochs, which decide the order of rows.
        first_step: first step of the first epoch; earlier steps are not read.
        failures: receives the stream's exceptions, which TensorFlow would only pass on as text.

    Returns:
        a dataset of `len(epochs) * stream.steps - first_step` elements: the arrays of
        `stream.columns`, and `weight` float32 (batch,), with batch = `stream.batch_size_per_rank`
        rows each. Two batches are prefetched.
    """
    rows = stream.batch_size_per_rank
    signature = {
        name: tf.TensorSpec((None, *array.shape), array.dtype)
        for name, array in stream.columns.allocate_arrays(rows).items()
    }
    signature["weight"] = tf.TensorSpec((None, rows), tf.float32)

    def generate_stacks() -> Iterator[Batch]:
        try:
            yield from stream.read_batch_stacks(epochs, first_step)
        except Exception as error:
            if failures is not None:
                failures.append(error)
            raise

    # Python yields stacks of several batches, and each batch's tensors share a stack's memory.
    dataset = tf.data.Dataset.from_generator(generate_stacks, output_signature=signature)
    dataset = dataset.flat_map(tf.data.Dataset.from_tensor_slices)
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 2
    return dataset.prefetch(2).with_options(options)
