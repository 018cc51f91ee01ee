"""The reader pool: planned order, bounded, errors re-raised, no task started after a stop."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from headrace.stream.petastorm_api import EmptyResultError, WorkerBase
from headrace.stream.pool import PlannedPool


class Doubler(WorkerBase):
    """Doubles a number, slower for smaller ones; fails for -1."""

    done: ClassVar[list[int]] = []

    def process(self, number: int) -> None:
        if number == -1:
            raise ValueError("number -1")
        time.sleep(0.002 * (number % 3))
        Doubler.done.append(number)
        self.publish_func(number * 2)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def take_all(pool: PlannedPool) -> list[Any]:
    taken = []
    while True:
        try:
            taken.append(pool.get_results())
        except EmptyResultError:
            return taken


def wait_until_idle() -> int:
    """Wait until no more tasks are done, and return how many were."""
    before = -1
    while before != len(Doubler.done):
        before = len(Doubler.done)
        time.sleep(0.5)
    return before


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("count", [0, 1, 30])
def test_results_come_in_planned_order(workers: int, count: int) -> None:
    with ThreadPoolExecutor(workers) as threads:
        pool = PlannedPool(range(count), threads=threads, workers_count=workers, prefetch=5)
        pool.start(Doubler)
        assert take_all(pool) == [2 * n for n in range(count)]
        pool.stop()
        pool.join()


def test_no_more_results_are_prefetched_than_the_limit(threads: ThreadPoolExecutor) -> None:
    Doubler.done = []
    pool = PlannedPool(range(0, 300, 3), threads=threads, workers_count=2, prefetch=4)
    pool.start(Doubler)
    assert wait_until_idle() == 4
    pool.get_results()
    assert wait_until_idle() == 5
    pool.stop()
    pool.join()


def test_an_error_of_a_worker_is_raised_in_its_place(threads: ThreadPoolExecutor) -> None:
    pool = PlannedPool([3, -1, 6], threads=threads, workers_count=2, prefetch=3)
    pool.start(Doubler)
    assert pool.get_results() == 6
    with pytest.raises(ValueError, match="number -1"):
        pool.get_results()
    pool.stop()
    pool.join()


def test_a_stop_in_mid_epoch_drops_what_was_not_begun(threads: ThreadPoolExecutor) -> None:
    Doubler.done = []
    pool = PlannedPool(range(0, 3000, 3), threads=threads, workers_count=4, prefetch=500)
    other = PlannedPool([3, 6], threads=threads, workers_count=4, prefetch=2)
    pool.start(Doubler)
    other.start(Doubler)
    pool.get_results()
    pool.stop()
    pool.join()
    assert len(Doubler.done) < 400
    assert take_all(other) == [6, 12]  # the threads go on for others


def test_after_a_stop_nothing_is_begun(threads: ThreadPoolExecutor) -> None:
    pool = PlannedPool(range(100), threads=threads, workers_count=4, prefetch=2)
    pool.start(Doubler)
    pool.stop()
    pool.join()
    assert len(take_all(pool)) <= 2
