"""Communicate between ranks: allreduce, broadcast, allgather, and the change of members.

What a stage sees of it is `Collectives`. `horovod_collectives.py` and `tensorflow_collectives.py`
implement it for ranks with slots from a supervisor; here is the one of a rank that is alone.
"""

from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.heartbeat import Heartbeat


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
        """Return each tensor, all of one type, summed over ranks in one fused operation; may be
        traced. The sums have the same bits on every rank."""

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

    def allgather_rows(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Return each tensor's concatenation over ranks, by rank; (n, ...) with any n per rank and
        call; may be traced."""

    def alltoall_rows(self, rows: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Send rows to every rank and return those that were sent to this one; may be traced.

        Args:
            rows: (n, ...), first those for rank 0, of one type and width on all ranks.
            counts: int32 (ranks,), how many of them are for each rank, any number.

        Returns:
            the rows, by the rank that sent them, and how many each rank sent, int32 (ranks,).
        """

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

    def allgather_rows(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        return tensors

    def alltoall_rows(self, rows: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return rows, counts

    def is_change_requested(self) -> bool:
        return False

    def join_next_generation(self) -> None:
        raise AssertionError("a single rank is not elastic")

    def save_carried_values(self, values: dict[str, Any]) -> None:
        pass

    def shutdown(self) -> None:
        pass
