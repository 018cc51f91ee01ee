"""Follow the slots of a rank from generation to generation, whatever its collectives are made of.

A subclass connects the ranks of a generation and communicates between them. Nothing of it is called
while the rank is alone, so that a single rank needs none of what a subclass is made of.
"""

from abc import ABC, abstractmethod
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.heartbeat import Heartbeat
from headrace.distributed.rank.membership import Membership
from headrace.distributed.slot import Slot


class MemberCollectives(ABC):
    """The collectives of a rank with slots from a supervisor; see `collectives.Collectives`."""

    device = ""

    def __init__(self, membership: Membership, heartbeat: Heartbeat) -> None:
        """
        Args:
            membership: of this rank; its first slot is waited for.
            heartbeat: of this rank.
        """
        self._membership, self.heartbeat = membership, heartbeat
        self.is_elastic = membership.is_elastic
        self._enter_generation(0)

    def _enter_generation(self, generation: int) -> None:
        slot = self._membership.wait_for_slot(generation)
        self.rank, self.size, self.local_rank = slot.rank, slot.size, slot.local_rank
        self.generation, self.carried_values = slot.generation, slot.facts
        if self.size > 1:
            self._connect(slot)

    def allreduce(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        if self.size == 1:
            return tensors

        @tf.custom_gradient
        def sum_with_gradient(*addends: tf.Tensor) -> Any:
            return self._sum(list(addends)), lambda *upstream: self.allreduce(list(upstream))

        reduced: list[tf.Tensor] = sum_with_gradient(*tensors)
        return reduced

    def allreduce_bfloat16(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        # A reduce-scatter and an allgather: every rank sums its chunk of all ranks' values in
        # float32 and sends the sum to all. It moves as many bytes as a ring of 16-bit numbers, and
        # the result is the same on every rank.
        if self.size == 1:
            return tensors
        sizes = [tensor.shape.num_elements() for tensor in tensors]
        count = sum(sizes)
        chunk = -(-count // self.size)
        flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0)
        padded = tf.pad(flat, [[0, chunk * self.size - count]])
        chunks = self._exchange_bits(to_bits(padded))
        chunk_sum = tf.reduce_sum(from_bits(tf.reshape(chunks, [self.size, chunk])), axis=0)
        flat_sums = from_bits(self._gather_bits(to_bits(chunk_sum)))
        sums = tf.split(flat_sums[:count], sizes)
        return [tf.reshape(s, t.shape) for s, t in zip(sums, tensors, strict=True)]

    def broadcast_variables(self, variables: list[keras.Variable], root: int = 0) -> None:
        if self.size > 1:
            # A Keras variable is not a tf.Variable; its `value` is.
            self._broadcast_variables([variable.value for variable in variables], root)

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        return value if self.size == 1 else self._broadcast_object(value, root)

    def allgather(self, array: np.ndarray) -> np.ndarray:
        return array if self.size == 1 else self._gather(array)

    def allgather_rows(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        return tensors if self.size == 1 else self._gather_rows(tensors)

    def alltoall_rows(self, rows: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return (rows, counts) if self.size == 1 else self._exchange_rows(rows, counts)

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
            self._disconnect()

    @abstractmethod
    def _connect(self, slot: Slot) -> None:
        """Connect to the other ranks of the slot's generation."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Leave the ranks that this one is connected to."""

    @abstractmethod
    def _sum(self, addends: list[tf.Tensor]) -> list[tf.Tensor]:
        """Return each tensor summed over ranks; may be traced."""

    @abstractmethod
    def _exchange_bits(self, bits: tf.Tensor) -> tf.Tensor:
        """Return chunk `rank` of the uint16 of every rank, by rank; may be traced.

        Args:
            bits: of this rank, as many chunks of one length as there are ranks.
        """

    @abstractmethod
    def _gather_bits(self, bits: tf.Tensor) -> tf.Tensor:
        """Return the concatenation of all ranks' uint16, of one number; may be traced."""

    @abstractmethod
    def _gather_rows(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Return each tensor's concatenation over ranks, as `allgather_rows` does."""

    @abstractmethod
    def _exchange_rows(self, rows: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the rows that were sent to this rank, as `alltoall_rows` does."""

    @abstractmethod
    def _broadcast_variables(self, variables: list[tf.Variable], root: int) -> None:
        """Assign the values on rank `root`."""

    @abstractmethod
    def _broadcast_object(self, value: Any, root: int) -> Any:
        """Return the value of rank `root`."""

    @abstractmethod
    def _gather(self, array: np.ndarray) -> np.ndarray:
        """Return the concatenation of all ranks' arrays."""


def to_bits(numbers: tf.Tensor) -> tf.Tensor:
    """Round float32 numbers to bfloat16, and return their bits as uint16."""
    return tf.bitcast(tf.cast(numbers, tf.bfloat16), tf.uint16)


def from_bits(bits: tf.Tensor) -> tf.Tensor:
    """Return the float32 numbers whose bfloat16 bits these are."""
    return tf.cast(tf.bitcast(bits, tf.bfloat16), tf.float32)
