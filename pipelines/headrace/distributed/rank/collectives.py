"""What ranks do together: sum, broadcast, gather. One rank needs no Horovod.

`hvd.DistributedOptimizer` is not used: on Keras 3 it trains and never reduces, without an error.
"""

from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.heartbeat import Pulse
from headrace.distributed.rank.membership import Membership


class Collectives(Protocol):
    """The ranks of a run as one of them sees them. Every method is called by all ranks alike.

    Attributes:
        pulse: where this rank says how far it is.
        device: what it computes on, for people.
        elastic: whether the ranks may be others after a while: then a lost rank, and
            `change_asked`, are to be followed by `reform`.
        generation: how often they have been others.
        facts: what was remembered by rank 0 of an earlier generation.
    """

    rank: int
    size: int
    local_rank: int
    pulse: Pulse
    device: str
    elastic: bool
    generation: int
    facts: dict[str, Any]

    def sum(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Each tensor summed over ranks, in one fused operation; may be traced."""

    def sum_bfloat16(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Likewise of float32 tensors, rounded to bfloat16 on their way and after the sum."""

    def broadcast_variables(self, variables: list[keras.Variable], root: int = 0) -> None:
        """Give every rank the values of one."""

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        """One rank's `value` (plain types) on every rank."""

    def gather(self, array: np.ndarray) -> np.ndarray:
        """All ranks' arrays one after the other, by rank, on every rank; (n, ...) with any n."""

    def change_asked(self) -> bool:
        """Whether the ranks are to be others; one rank may know before another one does."""

    def reform(self) -> None:
        """Leave, and go on among the ranks that there are then, with another rank and size."""

    def remember(self, facts: dict[str, Any]) -> None:
        """Have all ranks know these as `facts` after `reform`; of rank 0."""

    def shutdown(self) -> None:
        """Leave; the other ranks notice when this one leaves early."""


class Solo:
    """A run of one rank."""

    rank, size, local_rank, generation = 0, 1, 0, 0
    elastic, device = False, ""

    def __init__(self, pulse: Pulse | None = None) -> None:
        self.pulse = pulse or Pulse()
        self.facts: dict[str, Any] = {}

    def sum(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        return tensors

    def sum_bfloat16(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        return tensors

    def broadcast_variables(self, variables: list[keras.Variable], root: int = 0) -> None:
        pass

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        return value

    def gather(self, array: np.ndarray) -> np.ndarray:
        return array

    def change_asked(self) -> bool:
        return False

    def reform(self) -> None:
        raise AssertionError("not elastic")

    def remember(self, facts: dict[str, Any]) -> None:
        pass

    def shutdown(self) -> None:
        pass


class Ranks:
    """Ranks that a supervisor gave places to, talking over Gloo or NCCL."""

    device = ""

    def __init__(self, membership: Membership, pulse: Pulse) -> None:
        self._membership, self.pulse = membership, pulse
        self.elastic = membership.elastic
        self._enter(0)

    def _enter(self, generation: int) -> None:
        place = self._membership.wait_for(generation)
        self.rank, self.size, self.local_rank = place.rank, place.size, place.local_rank
        self.generation, self.facts = place.generation, place.facts
        self._sums = 0
        if self.size > 1:
            import horovod.tensorflow as hvd

            hvd.init()
            self._hvd = hvd

    def sum(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        if self.size == 1:
            return tensors
        # By number, and not by the names of tensors, as Horovod would: in a process that has been
        # among other ranks before, Keras gives other names than in a new one.
        name = f"sum.{self._sums}"
        if not tf.executing_eagerly():
            self._sums += 1

        @tf.custom_gradient
        def summed(*parts: tf.Tensor) -> Any:
            with tf.compat.v1.name_scope(None):  # else the name is below the layer's
                total = self._hvd.grouped_allreduce(list(parts), op=self._hvd.Sum, name=name)
            return total, lambda *above: self.sum(list(above))

        reduced: list[tf.Tensor] = summed(*tensors)
        return reduced

    def sum_bfloat16(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        # Horovod 0.28 knows no bfloat16 of TensorFlow's, so its bits go round as whole numbers.
        # Every rank gets its part of all ranks' values, sums it in float32, and gives the sum to
        # all: the bytes that a ring of 16-bit numbers moves, and the same result on every rank.
        if self.size == 1:
            return tensors
        name = f"bfloat16.{self._sums}"
        if not tf.executing_eagerly():
            self._sums += 1
        sizes = [tensor.shape.num_elements() for tensor in tensors]
        count = sum(sizes)
        part = -(-count // self.size)
        flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0)
        padded = tf.pad(flat, [[0, part * self.size - count]])
        with tf.compat.v1.name_scope(None):
            parts = self._hvd.alltoall(_bits(padded), name=f"{name}.parts")
            total = tf.reduce_sum(_numbers(tf.reshape(parts, [self.size, part])), axis=0)
            whole = _numbers(self._hvd.allgather(_bits(total), name=f"{name}.sums"))
        pieces = tf.split(whole[:count], sizes)
        return [tf.reshape(p, t.shape) for p, t in zip(pieces, tensors, strict=True)]

    def broadcast_variables(self, variables: list[keras.Variable], root: int = 0) -> None:
        # A Keras variable is not a tf.Variable; its `value` is.
        if self.size > 1:
            self._hvd.broadcast_variables([v.value for v in variables], root_rank=root)

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        if self.size == 1:
            return value
        return self._hvd.broadcast_object(value, root_rank=root, name="object")

    def gather(self, array: np.ndarray) -> np.ndarray:
        if self.size == 1:
            return array
        gathered: np.ndarray = self._hvd.allgather(tf.constant(array)).numpy()
        return gathered

    def change_asked(self) -> bool:
        return self.elastic and self._membership.change_asked(self.generation)

    def reform(self) -> None:
        self.shutdown()
        self._enter(self.generation + 1)

    def remember(self, facts: dict[str, Any]) -> None:
        if self.elastic:
            self._membership.remember(facts)

    def shutdown(self) -> None:
        if self.size > 1:
            self._hvd.shutdown()


def _bits(numbers: tf.Tensor) -> tf.Tensor:
    return tf.bitcast(tf.cast(numbers, tf.bfloat16), tf.uint16)


def _numbers(bits: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.bitcast(bits, tf.bfloat16), tf.float32)
