"""A rank's batches as a tf.data dataset: named tensors of static shape, prefetched.

Copies of a row on its way here: decoded by pyarrow, into its block's matrix, and permuted into its
batch (`sheets.py`). tf.data makes none: its tensors share the sheet's memory wherever a batch of an
array has a multiple of 64 bytes, and otherwise copy it once.
"""

import atexit
import weakref
from collections.abc import Iterator, Sequence

import tensorflow as tf

from headrace.stream.batch_assembly import Batch
from headrace.stream.split_stream import SplitStream


def tf_batches(
    stream: SplitStream, epochs: Sequence[int], first_step: int = 0
) -> Iterator[dict[str, tf.Tensor]]:
    """The elements of `as_tf_dataset`, with the stream's own error where one is raised.

    An epoch was accounted for when its last batch is given.

    Raises:
        StreamError: a row group cannot be read, or rows delivered differ from the plan. TensorFlow
            alone would give an `UnknownError` with the text somewhere inside.
    """
    failures: list[Exception] = []
    opened = _Opened(as_tf_dataset(stream, epochs, first_step, failures))
    try:
        while (batch := next(opened.iterator, None)) is not None:
            yield batch
    except tf.errors.OpError:
        if failures:
            raise failures[0] from None
        raise
    finally:
        opened.close()


class _Opened:
    """A dataset that is being read, and is closed before the interpreter ends.

    TensorFlow would wait, with the interpreter's lock, for a thread that waits for that lock.
    """

    def __init__(self, dataset: tf.data.Dataset) -> None:
        self.iterator: Iterator[dict[str, tf.Tensor]] = iter(dataset)
        _all_opened.add(self)

    def close(self) -> None:
        self.iterator = iter(())


_all_opened: "weakref.WeakSet[_Opened]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for opened in list(_all_opened):
        opened.close()


def as_tf_dataset(
    stream: SplitStream,
    epochs: Sequence[int],
    first_step: int = 0,
    failures: list[Exception] | None = None,
) -> tf.data.Dataset:
    """Batches of one epoch after the other as dicts of tensors.

    Args:
        stream: the rank's view of a split.
        epochs: their numbers, which decide the order of rows.
        first_step: where to begin in the first of them; earlier steps are not read.
        failures: gets what the stream raises, which TensorFlow would only pass on as text.

    Returns:
        a dataset of `len(epochs) * stream.steps - first_step` elements: the arrays of
        `stream.columns`, and `weight` float32 (batch,), with batch = `stream.batch_size_per_rank`
        rows each. Two batches are prefetched.
    """
    rows = stream.batch_size_per_rank
    signature = {
        name: tf.TensorSpec((None, *array.shape), array.dtype)
        for name, array in stream.columns.empty(rows).items()
    }
    signature["weight"] = tf.TensorSpec((None, rows), tf.float32)

    def generate() -> Iterator[Batch]:
        try:
            yield from stream.sheets(epochs, first_step)
        except Exception as error:
            if failures is not None:
                failures.append(error)
            raise

    # Python is asked for several batches at once, whose memory the tensors of each then share.
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    dataset = dataset.flat_map(tf.data.Dataset.from_tensor_slices)
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 2
    return dataset.prefetch(2).with_options(options)
