"""Sums over ranks that are threads of one process."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")


class ThreadSums:
    """The sums of one of several ranks, each on a thread, and how many bytes it added."""

    def __init__(self, rank: int, barrier: threading.Barrier, slots: list[np.ndarray]) -> None:
        self._rank, self._barrier, self._slots = rank, barrier, slots
        self.bytes = 0

    def add(self, counts: np.ndarray) -> np.ndarray:
        assert counts.dtype == np.int64
        self.bytes += counts.nbytes
        return np.sum(self._exchange(counts), axis=0)

    def find_largest(self, values: np.ndarray) -> np.ndarray:
        return np.max(self._exchange(values), axis=0)

    def _exchange(self, value: np.ndarray) -> list[np.ndarray]:
        self._slots[self._rank] = value
        self._barrier.wait(30)
        values = list(self._slots)
        self._barrier.wait(30)
        return values


def run_ranks(ranks: int, function: Callable[[int, ThreadSums], Result]) -> Sequence[Result]:
    """Return what each rank returns, by rank."""
    barrier = threading.Barrier(ranks)
    slots: list[np.ndarray] = [np.empty(0)] * ranks

    def run(rank: int) -> Result:
        try:
            return function(rank, ThreadSums(rank, barrier, slots))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(ranks) as pool:
        futures = [pool.submit(run, rank) for rank in range(ranks)]
    for error in [future.exception() for future in futures]:
        if error and not isinstance(error, threading.BrokenBarrierError):
            raise error
    return [future.result() for future in futures]
