"""Memory is used again only when nobody refers to it, and lies where TensorFlow can take it."""

import gc
import threading

import numpy as np
import tensorflow as tf

from headrace.stream.buffer_pool import Rooms
from headrace.stream.columns import Columns
from headrace.transform.spec import ModelInput

COLUMNS = Columns(
    {
        "numeric": ModelInput("float32", (3,), ("a", "b", "c")),
        "image": ModelInput("uint8", (5, 5, 1), ("image",)),
    }
)


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_shapes_and_alignment() -> None:
    for axes in [(7,), (4, 6)]:
        room = Rooms(COLUMNS, "weight").take(*axes)
        assert {n: a.shape for n, a in room.items()} == {
            "numeric": (*axes, 3),
            "image": (*axes, 5, 5, 1),
            "weight": axes,
        }
        assert {n: a.dtype.name for n, a in room.items()} == {
            "numeric": "float32",
            "image": "uint8",
            "weight": "float32",
        }
        assert all(address(a) % 64 == 0 for a in room.values())


def test_a_view_keeps_its_memory() -> None:
    rooms = Rooms(COLUMNS)
    room = rooms.take(4, 6)
    view, where = room["numeric"][1, 2:4].reshape(-1), address(room["numeric"])
    view[:] = 7
    del room
    other = rooms.take(4, 6)
    assert address(other["numeric"]) != where
    other["numeric"][...] = 1
    assert (view == 7).all()
    del view
    assert address(rooms.take(4, 6)["numeric"]) == where


def test_a_tensor_that_shares_the_memory_keeps_it() -> None:
    """What as_tf_dataset does: tf.data takes the array over, and hands out parts of it."""
    rooms = Rooms(COLUMNS)
    where = []

    def generate() -> object:
        for number in range(6):
            room = rooms.take(8, 64)["numeric"]
            where.append(address(room))
            room[...] = number
            yield room

    signature = tf.TensorSpec((8, 64, 3), tf.float32)
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    batches = list(dataset.flat_map(tf.data.Dataset.from_tensor_slices))
    for number, batch in enumerate(batches):
        assert (batch.numpy() == number // 8).all()
    assert len(set(where)) == 6  # all of them are still referred to
    assert {address(np.asarray(memoryview(b))) for b in batches} == {
        first + step * 64 * 3 * 4 for first in where for step in range(8)
    }
    del batches, batch
    gc.collect()


def test_a_shorter_room_gives_way_to_a_longer_one() -> None:
    rooms = Rooms(COLUMNS)
    rooms.take(5)
    long = rooms.take(9)
    assert len(long["numeric"]) == 9
    where = address(long["numeric"])
    del long
    assert address(rooms.take(5)["numeric"]) == where


def test_threads_never_get_the_same_room() -> None:
    rooms, wrong = Rooms(COLUMNS), []

    def use(mark: int) -> None:
        for _ in range(300):
            room = rooms.take(50)
            room["numeric"][...] = mark
            if (room["numeric"] != mark).any():
                wrong.append(mark)

    threads = [threading.Thread(target=use, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
