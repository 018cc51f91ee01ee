"""The reader pool: planned order, bounded, errors re-raised, no task started after a stop."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.stream.pool import PlannedPool


class Doubler:
    """Makes workers that double a number, slower for smaller ones, and fail for -1.

    Attributes:
        done: the numbers that were doubled.
        threads: the thread that each worker was made on.
    """

    def __init__(self) -> None:
        self.done: list[int] = []
        self.threads: list[int] = []

    def make_worker(self) -> Callable[[int], int]:
        self.threads.append(threading.get_ident())
        return self.double

    def double(self, number: int) -> int:
        if number == -1:
            raise ValueError("number -1")
        time.sleep(0.002 * (number % 3))
        self.done.append(number)
        return number * 2

    def wait_until_idle(self) -> int:
        """Wait until no more tasks are done, and return how many were."""
        before = -1
        while before != len(self.done):
            before = len(self.done)
            time.sleep(0.5)
        return before


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def take_all(pool: PlannedPool[int, int]) -> list[int]:
    return list(iter(pool.get_result, None))


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("count", [0, 1, 30])
def test_results_come_in_planned_order(workers: int, count: int) -> None:
    doubler = Doubler()
    with ThreadPoolExecutor(workers) as threads:
        pool = PlannedPool(range(count), doubler.make_worker, threads=threads, prefetch=5)
        assert take_all(pool) == [2 * n for n in range(count)]
        assert pool.has_submitted_all
        assert pool.get_result() is None
        pool.stop()
        pool.join()
    assert len(doubler.threads) == len(set(doubler.threads)) <= workers


def test_no_more_results_are_prefetched_than_the_limit(threads: ThreadPoolExecutor) -> None:
    doubler = Doubler()
    pool = PlannedPool(range(0, 300, 3), doubler.make_worker, threads=threads, prefetch=4)
    assert doubler.wait_until_idle() == 4
    assert not pool.has_submitted_all
    pool.get_result()
    assert doubler.wait_until_idle() == 5
    pool.stop()
    pool.join()


def test_an_error_of_a_worker_is_raised_in_its_place(threads: ThreadPoolExecutor) -> None:
    pool = PlannedPool([3, -1, 6], Doubler().make_worker, threads=threads, prefetch=3)
    assert pool.get_result() == 6
    with pytest.raises(ValueError, match="number -1"):
        pool.get_result()
    pool.stop()
    pool.join()


def test_a_stop_in_mid_epoch_drops_what_was_not_begun(threads: ThreadPoolExecutor) -> None:
    doubler = Doubler()
    pool = PlannedPool(range(0, 3000, 3), doubler.make_worker, threads=threads, prefetch=500)
    other = PlannedPool([3, 6], Doubler().make_worker, threads=threads, prefetch=2)
    pool.get_result()
    pool.stop()
    pool.join()
    assert len(doubler.done) < 400
    assert take_all(other) == [6, 12]  # the threads go on for others


def test_after_a_stop_nothing_is_begun(threads: ThreadPoolExecutor) -> None:
    pool = PlannedPool(range(100), Doubler().make_worker, threads=threads, prefetch=2)
    pool.stop()
    pool.join()
    assert len(take_all(pool)) <= 2
