"""Communicate between ranks: allreduce, broadcast, allgather, and the change of members.

One implementation uses Horovod, the other one serves a run of a single rank without it.
`hvd.DistributedOptimizer` is not used: on Keras 3 it trains and never reduces, without an error.
"""

from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.heartbeat import Heartbeat
from headrace.distributed.rank.membership import Membership
from headrace.distributed.rank.messages import decode_message, encode_message


class Collectives(Protocol):
    """The ranks of a run as one of them sees them. All ranks call the same methods in order.

    Attributes:
        rank, size, local_rank: as Horovod defines them.
        heartbeat: where this rank publishes its position.
        device: what this rank computes on, in words.
        is_elastic: whether the members can change: the loss of a rank, and a true
            `is_change_requested`, are then to be followed by `join_next_generation`.
        generation: number of the generation, from 0; it rises with each change of members.
        carried_values: what rank 0 of an earlier generation saved.
    """

    rank: int
    size: int
    local_rank: int
    heartbeat: Heartbeat
    device: str
    is_elastic: bool
    generation: int
    carried_values: dict[str, Any]

    def allreduce(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Return each tensor summed over ranks, in one fused operation; may be traced."""

    def allreduce_bfloat16(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Return each float32 tensor summed over ranks, rounded to bfloat16 before and after."""

    def broadcast_variables(self, variables: list[keras.Variable], root: int = 0) -> None:
        """Assign the values on rank `root` to the variables of every rank."""

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        """Return the `value` of rank `root` on every rank, of types that `encode_message` has.

        Tuples become lists.
        """

    def allgather(self, array: np.ndarray) -> np.ndarray:
        """Return the concatenation of all ranks' arrays, by rank; (n, ...) with any n per rank."""

    def is_change_requested(self) -> bool:
        """Return whether the members are to change; ranks may learn it at different steps."""

    def join_next_generation(self) -> None:
        """Leave this generation and wait for a slot in the next one: rank and size may change."""

    def save_carried_values(self, values: dict[str, Any]) -> None:
        """Save these as `carried_values` of later generations; those of rank 0 count."""

    def shutdown(self) -> None:
        """Leave the generation; if the other ranks are not done, their collectives fail."""


class SoloCollectives:
    """The collectives of a run of one rank: every result is the rank's own value."""

    rank, size, local_rank, generation = 0, 1, 0, 0
    is_elastic, device = False, ""

    def __init__(self, heartbeat: Heartbeat | None = None) -> None:
        self.heartbeat = heartbeat or Heartbeat()
        self.carried_values: dict[str, Any] = {}

    def allreduce(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        return tensors

    def allreduce_bfloat16(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        return tensors

    def broadcast_variables(self, variables: list[keras.Variable], root: int = 0) -> None:
        pass

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        return value

    def allgather(self, array: np.ndarray) -> np.ndarray:
        return array

    def is_change_requested(self) -> bool:
        return False

    def join_next_generation(self) -> None:
        raise AssertionError("a single rank is not elastic")

    def save_carried_values(self, values: dict[str, Any]) -> None:
        pass

    def shutdown(self) -> None:
        pass


class HorovodCollectives:
    """The collectives of ranks with slots from a supervisor, over Gloo or NCCL."""

    device = ""

    def __init__(self, membership: Membership, heartbeat: Heartbeat) -> None:
        self._membership, self.heartbeat = membership, heartbeat
        self.is_elastic = membership.is_elastic
        self._enter_generation(0)

    def _enter_generation(self, generation: int) -> None:
        slot = self._membership.wait_for_slot(generation)
        self.rank, self.size, self.local_rank = slot.rank, slot.size, slot.local_rank
        self.generation, self.carried_values = slot.generation, slot.facts
        self._sums = 0
        if self.size > 1:
            import horovod.tensorflow as hvd

            hvd.init()
            self._hvd = hvd

    def allreduce(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        if self.size == 1:
            return tensors
        # Named by number, not by the tensors' names as Horovod does by default: in a process that
        # was in an earlier generation, Keras makes other names than in a new process.
        name = f"sum.{self._sums}"
        if not tf.executing_eagerly():
            self._sums += 1

        @tf.custom_gradient
        def sum_with_gradient(*addends: tf.Tensor) -> Any:
            with tf.compat.v1.name_scope(None):  # else the layer's name is put before it
                sums = self._hvd.grouped_allreduce(list(addends), op=self._hvd.Sum, name=name)
            return sums, lambda *upstream: self.allreduce(list(upstream))

        reduced: list[tf.Tensor] = sum_with_gradient(*tensors)
        return reduced

    def allreduce_bfloat16(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        # Horovod 0.28 does not know TensorFlow's bfloat16, so its bits travel as integers. This is
        # a reduce-scatter and an allgather: every rank sums its chunk of all ranks' values in
        # float32 and sends the sum to all. It moves as many bytes as a ring of 16-bit numbers, and
        # the result is the same on every rank.
        if self.size == 1:
            return tensors
        name = f"bfloat16.{self._sums}"
        if not tf.executing_eagerly():
            self._sums += 1
        sizes = [tensor.shape.num_elements() for tensor in tensors]
        count = sum(sizes)
        chunk = -(-count // self.size)
        flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0)
        padded = tf.pad(flat, [[0, chunk * self.size - count]])
        with tf.compat.v1.name_scope(None):
            chunks = self._hvd.alltoall(_to_bits(padded), name=f"{name}.parts")
            chunk_sum = tf.reduce_sum(_from_bits(tf.reshape(chunks, [self.size, chunk])), axis=0)
            flat_sums = _from_bits(self._hvd.allgather(_to_bits(chunk_sum), name=f"{name}.sums"))
        sums = tf.split(flat_sums[:count], sizes)
        return [tf.reshape(s, t.shape) for s, t in zip(sums, tensors, strict=True)]

    def broadcast_variables(self, variables: list[keras.Variable], root: int = 0) -> None:
        # A Keras variable is not a tf.Variable; its `value` is.
        if self.size > 1:
            self._hvd.broadcast_variables([v.value for v in variables], root_rank=root)

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        # Horovod's own would un-pickle what arrives.
        if self.size == 1:
            return value
        content = encode_message(value) if self.rank == root else b""
        sent = np.array([len(content)], np.int64)
        (length,) = self._hvd.broadcast(tf.constant(sent), root, name="object.length").numpy()
        buffer = np.frombuffer(content.ljust(int(length)), np.uint8)
        received = self._hvd.broadcast(tf.constant(buffer), root, name="object.content")
        return decode_message(received.numpy().tobytes())

    def allgather(self, array: np.ndarray) -> np.ndarray:
        if self.size == 1:
            return array
        gathered: np.ndarray = self._hvd.allgather(tf.constant(array)).numpy()
        return gathered

    def is_change_requested(self) -> bool:
        return self.is_elastic and self._membership.is_change_requested(self.generation)

    def join_next_generation(self) -> None:
        self.shutdown()
        self._enter_generation(self.generation + 1)

    def save_carried_values(self, values: dict[str, Any]) -> None:
        if self.is_elastic:
            self._membership.save_carried_values(values)

    def shutdown(self) -> None:
        if self.size > 1:
            self._hvd.shutdown()


def _to_bits(numbers: tf.Tensor) -> tf.Tensor:
    """Round float32 numbers to bfloat16, and return their bits as uint16."""
    return tf.bitcast(tf.cast(numbers, tf.bfloat16), tf.uint16)


def _from_bits(bits: tf.Tensor) -> tf.Tensor:
    """Return the float32 numbers whose bfloat16 bits these are."""
    return tf.cast(tf.bitcast(bits, tf.bfloat16), tf.float32)
