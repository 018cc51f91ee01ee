"""Buffers are reused only when nothing refers to them, and aligned so that TensorFlow can share."""

import gc
import threading

import numpy as np
import tensorflow as tf

from headrace.stream.buffer_pool import BufferPool
from headrace.stream.columns import Columns
from headrace.transform.spec import ModelInput

COLUMNS = Columns(
    {
        "numeric": ModelInput("float32", (3,), ("a", "b", "c")),
        "image": ModelInput("uint8", (5, 5, 1), ("image",)),
    }
)


def read_address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_shapes_and_alignment() -> None:
    for axes in [(7,), (4, 6)]:
        buffer = BufferPool(COLUMNS, "weight").acquire_arrays(*axes)
        assert {n: a.shape for n, a in buffer.items()} == {
            "numeric": (*axes, 3),
            "image": (*axes, 5, 5, 1),
            "weight": axes,
        }
        assert {n: a.dtype.name for n, a in buffer.items()} == {
            "numeric": "float32",
            "image": "uint8",
            "weight": "float32",
        }
        assert all(read_address(a) % 64 == 0 for a in buffer.values())


def test_a_view_keeps_its_memory() -> None:
    pool = BufferPool(COLUMNS)
    buffer = pool.acquire_arrays(4, 6)
    view, first_address = buffer["numeric"][1, 2:4].reshape(-1), read_address(buffer["numeric"])
    view[:] = 7
    del buffer
    other = pool.acquire_arrays(4, 6)
    assert read_address(other["numeric"]) != first_address
    other["numeric"][...] = 1
    assert (view == 7).all()
    del view
    assert read_address(pool.acquire_arrays(4, 6)["numeric"]) == first_address


def test_a_tensor_that_shares_the_memory_keeps_it() -> None:
    """As in make_tf_dataset: tf.data shares the array, and yields views of it."""
    pool = BufferPool(COLUMNS)
    addresses = []

    def generate() -> object:
        for number in range(6):
            buffer = pool.acquire_arrays(8, 64)["numeric"]
            addresses.append(read_address(buffer))
            buffer[...] = number
            yield buffer

    signature = tf.TensorSpec((8, 64, 3), tf.float32)
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    batches = list(dataset.flat_map(tf.data.Dataset.from_tensor_slices))
    for number, batch in enumerate(batches):
        assert (batch.numpy() == number // 8).all()
    assert len(set(addresses)) == 6  # all of them are still referred to
    assert {read_address(np.asarray(memoryview(b))) for b in batches} == {
        first + step * 64 * 3 * 4 for first in addresses for step in range(8)
    }
    del batches, batch
    gc.collect()


def test_a_longer_buffer_replaces_a_shorter_one() -> None:
    pool = BufferPool(COLUMNS)
    pool.acquire_arrays(5)
    long = pool.acquire_arrays(9)
    assert len(long["numeric"]) == 9
    first_address = read_address(long["numeric"])
    del long
    assert read_address(pool.acquire_arrays(5)["numeric"]) == first_address


def test_threads_never_get_the_same_buffer() -> None:
    pool, overwritten = BufferPool(COLUMNS), []

    def use(mark: int) -> None:
        for _ in range(300):
            buffer = pool.acquire_arrays(50)
            buffer["numeric"][...] = mark
            if (buffer["numeric"] != mark).any():
                overwritten.append(mark)

    threads = [threading.Thread(target=use, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not overwritten
