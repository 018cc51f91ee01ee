"""How bytes and variables are divided for TensorFlow's collectives, and how they are put together.

What goes between real ranks is in test_collectives_on_ranks.py; here two ranks do the same.
"""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.distributed.heartbeat import Heartbeat
from headrace.distributed.rank import tensorflow_collectives as module
from headrace.distributed.rank.membership import Membership
from headrace.distributed.rank.peer_loss import PeerLossError, is_peer_loss
from headrace.distributed.rank.tensorflow_collectives import TensorFlowCollectives
from headrace.distributed.rank_folder import RankFolder
from headrace.distributed.slot import assign_slots


class Mirror:
    """A group of two ranks that do the same."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def sum(self, array: np.ndarray) -> np.ndarray:
        self.shapes.append(array.shape)
        return array * 2

    def gather(self, array: np.ndarray) -> np.ndarray:
        self.shapes.append(array.shape)
        return np.concatenate([array, array])

    def exchange(self, array: np.ndarray) -> np.ndarray:
        self.shapes.append(array.shape)
        return np.stack([array[0], array[0]])

    def broadcast(self, array: np.ndarray, root: int) -> np.ndarray:
        assert root == 0
        self.shapes.append(array.shape)
        return array


@pytest.fixture
def ranks(tmp_path: Path) -> TensorFlowCollectives:
    folder = RankFolder(tmp_path)
    (slot,) = assign_slots(["a"], address="x", port=1)
    folder.assign_slot(slot)
    ranks = TensorFlowCollectives(Membership(folder, is_elastic=False), Heartbeat(), 30, 1)
    ranks.size, ranks._group = 2, Mirror()  # type: ignore[assignment]
    return ranks


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (0, []), (1, [256]), (1024, [256]), (1025, [512]), (2048, [512]), (2049, [1024]),
        (4 * 2**22, [2**22]), (4 * 2**22 + 1, [2**22, 256]), (4 * 2**22 * 3 // 2, [2**22, 2**21]),
    ],
)  # fmt: skip
def test_bytes_are_cut_into_arrays_of_few_lengths(length: int, words: list[int]) -> None:
    content = bytes(range(256)) * (length // 256 + 1)
    pieces = list(module._cut_pieces(content[:length]))
    assert [len(piece) for piece in pieces] == words
    assert b"".join(piece.tobytes() for piece in pieces)[:length] == content[:length]


def test_variables_are_grouped_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 16 bytes here: four floats, or what is larger alone."""
    monkeypatch.setattr(module, "_PIECE_WORDS", 4)
    variables = [tf.Variable(tf.zeros([n])) for n in (2, 2, 1, 9, 0, 3)]
    groups = [[v.shape[0] for v in group] for group in module._group_by_bytes(variables)]
    assert groups == [[2, 2], [1], [9], [0, 3]]


def test_sums_of_several_tensors_are_one_operation(ranks: TensorFlowCollectives) -> None:
    sums = ranks.allreduce([tf.constant(1.5), tf.constant([[1.0, 2.0]]), tf.zeros([0, 3])])
    assert [t.numpy().tolist() for t in sums] == [3.0, [[2.0, 4.0]], []]
    assert ranks._group.shapes == [(3,)]  # type: ignore[attr-defined]


def test_tensors_of_several_types_are_refused(ranks: TensorFlowCollectives) -> None:
    with pytest.raises(TypeError, match=r"have one type, not \['float32', 'int32'\]"):
        ranks.allreduce([tf.constant(1.0), tf.constant(1)])


def test_traced_sums_run_in_the_order_of_the_trace(ranks: TensorFlowCollectives) -> None:
    """Neither depends on the other's result."""

    @tf.function(autograph=False)
    def reduce(x: tf.Tensor) -> list[tf.Tensor]:
        parts = [ranks.allreduce([x[:n]])[0] for n in range(1, 9)]
        return [part * 1.0 for part in parts[::-1]]

    for _ in range(5):
        reduce(tf.ones([9]))
    assert ranks._group.shapes == [(n,) for n in range(1, 9)] * 5  # type: ignore[attr-defined]


def test_chunks_in_bfloat16_are_summed_in_float32(ranks: TensorFlowCollectives) -> None:
    """1 + 1, and 3 · 2**-8 rounded to bfloat16 before and after: it is exact. Of the mirror both
    chunks are the first one."""
    for call in (ranks.allreduce_bfloat16, tf.function(ranks.allreduce_bfloat16)):
        (total,) = call([tf.constant([1.0, 3 * 2.0**-8, 7.0])])
        assert total.numpy().tolist() == [2.0, 6 * 2.0**-8, 2.0]


def test_variables_of_every_type_and_shape_arrive(ranks: TensorFlowCollectives) -> None:
    values = [np.float32(1.5), np.arange(6, dtype=np.int64).reshape(2, 3), np.array([True, False])]
    variables = [keras.Variable(value, dtype=str(value.dtype)) for value in values]
    ranks.broadcast_variables(variables)
    for variable, value in zip(variables, values, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)


def test_gathered_arrays_keep_type_and_shape(ranks: TensorFlowCollectives) -> None:
    for array in (np.zeros((0, 3), np.float16), np.arange(6, dtype=np.uint8).reshape(2, 3)):
        gathered = ranks.allgather(array)
        np.testing.assert_array_equal(gathered, np.concatenate([array, array]))
        assert gathered.dtype == array.dtype
    with pytest.raises(TypeError, match="arrays of numbers are gathered, not of object"):
        ranks.allgather(np.array([None]))


def test_a_lost_peer_is_told_through_a_traced_step(ranks: TensorFlowCollectives) -> None:
    def lose(array: np.ndarray) -> np.ndarray:
        raise PeerLossError("rank 0 of 2 lost a peer: reset")

    ranks._group.sum = lose  # type: ignore[method-assign]
    step = tf.function(lambda x: ranks.allreduce([x]), autograph=False)
    with pytest.raises(tf.errors.UnknownError) as caught:
        step(tf.constant(1.0))
    assert is_peer_loss(caught.value)
