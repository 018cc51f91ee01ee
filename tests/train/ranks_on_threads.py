"""Run a function on several ranks in one process, each on a thread, without Horovod."""

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import SoloCollectives

Result = TypeVar("Result")
_TIMEOUT = 30


class ThreadCollectives(SoloCollectives):
    """The collectives of a rank on a thread; they work eagerly, not in a compiled function."""

    def __init__(self, rank: int, barrier: threading.Barrier, slots: list[Any]) -> None:
        super().__init__()
        self.rank, self.size, self.local_rank = rank, len(slots), rank
        self._barrier, self._slots = barrier, slots

    def allreduce(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        return [tf.add_n(list(addends)) for addends in zip(*self._exchange(tensors), strict=True)]

    def broadcast_variables(self, variables: list[keras.Variable], root: int = 0) -> None:
        values = self._exchange([np.array(variable) for variable in variables])[root]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        return copy.deepcopy(self._exchange(value)[root])

    def allgather(self, array: np.ndarray) -> np.ndarray:
        return np.concatenate(self._exchange(array))

    def allgather_rows(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        return [tf.concat(parts, 0) for parts in zip(*self._exchange(tensors), strict=True)]

    def alltoall_rows(self, rows: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        sent = self._exchange((np.asarray(rows), np.asarray(counts)))
        parts = [np.split(own, np.cumsum(by_rank)[:-1])[self.rank] for own, by_rank in sent]
        own_counts = np.array([len(part) for part in parts], np.int32)
        return tf.constant(np.concatenate(parts)), tf.constant(own_counts)

    def _exchange(self, value: Any) -> list[Any]:
        """Return the values of all ranks, by rank."""
        self._slots[self.rank] = value
        self._barrier.wait(_TIMEOUT)
        values = list(self._slots)
        self._barrier.wait(_TIMEOUT)  # nobody writes a slot that another rank has still to read
        return values


def run_on_threads(
    size: int, function: Callable[[ThreadCollectives], Result], generation: int = 0
) -> list[Result]:
    """Return the results by rank; the error of a rank ends the others and is raised."""
    barrier, slots = threading.Barrier(size), [None] * size

    def run_rank(rank: int) -> Result:
        collectives = ThreadCollectives(rank, barrier, slots)
        collectives.generation = generation
        try:
            return function(collectives)
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(run_rank, rank) for rank in range(size)]
    errors = [error for future in futures if (error := future.exception())]
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    return [future.result() for future in futures]
