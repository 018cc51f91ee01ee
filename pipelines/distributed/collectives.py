"""What ranks do together: sum, broadcast, gather. One rank needs no Horovod.

`hvd.DistributedOptimizer` is not used: on Keras 3 it trains and never reduces, without an error.
"""

from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf


class Collectives(Protocol):
    """The ranks of a run as one of them sees them. Every method is called by all ranks alike."""

    rank: int
    size: int
    local_rank: int

    def sum(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Each tensor summed over ranks, in one fused operation; may be traced."""

    def broadcast_variables(self, variables: list[keras.Variable]) -> None:
        """Give every rank the values of rank 0."""

    def broadcast_object(self, value: Any) -> Any:
        """Rank 0's `value` (plain types) on every rank."""

    def gather(self, array: np.ndarray) -> np.ndarray:
        """All ranks' arrays one after the other, by rank, on every rank; (n, ...) with any n."""

    def shutdown(self) -> None:
        """Leave; the other ranks notice when this one leaves early."""


class Solo:
    """A run of one rank."""

    rank, size, local_rank = 0, 1, 0

    def sum(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        return tensors

    def broadcast_variables(self, variables: list[keras.Variable]) -> None:
        pass

    def broadcast_object(self, value: Any) -> Any:
        return value

    def gather(self, array: np.ndarray) -> np.ndarray:
        return array

    def shutdown(self) -> None:
        pass


class HorovodRanks:
    """Ranks that the environment names (HOROVOD_RANK and so on), talking over Gloo or NCCL."""

    def __init__(self) -> None:
        import horovod.tensorflow as hvd

        hvd.init()
        self._hvd = hvd
        self.rank, self.size, self.local_rank = hvd.rank(), hvd.size(), hvd.local_rank()

    def sum(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        reduced: list[tf.Tensor] = self._hvd.grouped_allreduce(tensors, op=self._hvd.Sum)
        return reduced

    def broadcast_variables(self, variables: list[keras.Variable]) -> None:
        # A Keras variable is not a tf.Variable; its `value` is.
        self._hvd.broadcast_variables([v.value for v in variables], root_rank=0)

    def broadcast_object(self, value: Any) -> Any:
        return self._hvd.broadcast_object(value, root_rank=0)

    def gather(self, array: np.ndarray) -> np.ndarray:
        gathered: np.ndarray = self._hvd.allgather(tf.constant(array)).numpy()
        return gathered

    def shutdown(self) -> None:
        self._hvd.shutdown()
