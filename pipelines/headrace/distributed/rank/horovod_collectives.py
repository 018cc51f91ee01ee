"""Communicate between ranks with Horovod, over Gloo or NCCL.

`hvd.DistributedOptimizer` is not used: on Keras 3 it trains and never reduces, without an error.
"""

import os
from typing import Any

import numpy as np
import tensorflow as tf

from headrace.distributed.rank.member_collectives import MemberCollectives
from headrace.distributed.rank.messages import decode_message, encode_message
from headrace.distributed.slot import Slot


class HorovodCollectives(MemberCollectives):
    """The collectives of ranks that Horovod connects."""

    def _connect(self, slot: Slot) -> None:
        import horovod.tensorflow as hvd

        os.environ.update(slot.to_environment())
        hvd.init()
        self._hvd = hvd
        self._operations = 0

    def _disconnect(self) -> None:
        self._hvd.shutdown()

    def _name_operation(self, kind: str) -> str:
        # By number, not by the tensors' names as Horovod does by default: in a process that was in
        # an earlier generation, Keras makes other names than in a new process.
        name = f"{kind}.{self._operations}"
        if not tf.executing_eagerly():
            self._operations += 1
        return name

    def _sum(self, addends: list[tf.Tensor]) -> list[tf.Tensor]:
        name = self._name_operation("sum")
        with tf.compat.v1.name_scope(None):  # else the layer's name is put before it
            sums: list[tf.Tensor] = self._hvd.grouped_allreduce(
                addends, op=self._hvd.Sum, name=name
            )
        return sums

    # Horovod 0.28 does not know TensorFlow's bfloat16, so its bits travel as integers.

    def _exchange_bits(self, bits: tf.Tensor) -> tf.Tensor:
        name = self._name_operation("parts")
        with tf.compat.v1.name_scope(None):
            return self._hvd.alltoall(bits, name=name)

    def _gather_bits(self, bits: tf.Tensor) -> tf.Tensor:
        name = self._name_operation("sums")
        with tf.compat.v1.name_scope(None):
            return self._hvd.allgather(bits, name=name)

    def _gather_rows(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        gathered: list[tf.Tensor] = [None] * len(tensors)
        # A group has one type, and messages of one group travel together.
        for dtype in sorted({tensor.dtype for tensor in tensors}, key=str):
            positions = [i for i, tensor in enumerate(tensors) if tensor.dtype == dtype]
            name = self._name_operation(f"rows.{dtype.name}")
            with tf.compat.v1.name_scope(None):
                parts = self._hvd.grouped_allgather([tensors[i] for i in positions], name=name)
            for position, part in zip(positions, parts, strict=True):
                gathered[position] = part
        return gathered

    def _exchange_rows(self, rows: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        name = self._name_operation("exchange")
        with tf.compat.v1.name_scope(None):
            received, received_counts = self._hvd.alltoall(rows, splits=counts, name=name)
        return received, received_counts

    def _broadcast_variables(self, variables: list[tf.Variable], root: int) -> None:
        self._hvd.broadcast_variables(variables, root_rank=root)

    def _broadcast_object(self, value: Any, root: int) -> Any:
        # Horovod's own would un-pickle what arrives.
        content = encode_message(value) if self.rank == root else b""
        sent = np.array([len(content)], np.int64)
        (length,) = self._hvd.broadcast(tf.constant(sent), root, name="object.length").numpy()
        buffer = np.frombuffer(content.ljust(int(length)), np.uint8)
        received = self._hvd.broadcast(tf.constant(buffer), root, name="object.content")
        return decode_message(received.numpy().tobytes())

    def _gather(self, array: np.ndarray) -> np.ndarray:
        gathered: np.ndarray = self._hvd.allgather(tf.constant(array)).numpy()
        return gathered
