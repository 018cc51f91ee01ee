"""The pool that Petastorm's `Reader` gets: results by Petastorm's interface, and no ventilator."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.stream.petastorm_api import EmptyResultError, WorkerBase
from headrace.stream.petastorm_reader import ReaderPool, ReaderWorker


class Adder(WorkerBase):
    """Adds its argument to a number, and publishes the sum."""

    def process(self, number: int) -> None:
        self.publish_func(self.args + number)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_published_results_are_returned_until_there_are_none(threads: ThreadPoolExecutor) -> None:
    pool = ReaderPool([1, 2, 3], threads=threads, prefetch=2)
    assert not pool.has_submitted_all
    pool.start(Adder, 10)
    assert [pool.get_results() for _ in range(3)] == [11, 12, 13]
    assert pool.has_submitted_all
    with pytest.raises(EmptyResultError):
        pool.get_results()
    with pytest.raises(StopIteration):
        ReaderWorker.new_results_queue_reader().read_next(pool, None, None)
    pool.stop()
    pool.join()


def test_a_pool_that_was_never_started_has_no_results_and_ends(
    threads: ThreadPoolExecutor,
) -> None:
    """As it is where Petastorm fails before it starts its pool."""
    pool = ReaderPool([1], threads=threads, prefetch=2)
    with pytest.raises(EmptyResultError):
        pool.get_results()
    pool.stop()
    pool.join()


def test_further_tasks_are_refused(threads: ThreadPoolExecutor) -> None:
    with pytest.raises(NotImplementedError, match="all its tasks from the start"):
        ReaderPool([1], threads=threads, prefetch=2).ventilate(2)
