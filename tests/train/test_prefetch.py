"""The next batch is fetched while the caller works; order, errors and ends stay the same."""

import threading
from collections.abc import Iterator

import pytest

from headrace.train.prefetch import prefetch_items


def test_the_next_item_is_fetched_before_the_caller_needs_it() -> None:
    fetched = [threading.Event() for _ in range(3)]

    def yield_numbers() -> Iterator[int]:
        for number, event in enumerate(fetched):
            event.set()
            yield number

    with prefetch_items(yield_numbers()) as items:
        assert fetched[0].wait(10)  # before any call of `next`
        assert not fetched[1].is_set()
        assert next(items) == 0
        assert fetched[1].wait(10)
        assert list(items) == [1, 2]


def test_an_error_comes_after_the_items_before_it() -> None:
    def yield_one_and_fail() -> Iterator[int]:
        yield 1
        raise OSError("the lake is dry")

    with prefetch_items(yield_one_and_fail()) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="the lake is dry"):
            next(items)


def test_leaving_early_ends_the_thread() -> None:
    with prefetch_items(iter(range(1000))) as items:
        assert next(items) == 0
        assert "headrace-batches_0" in {thread.name for thread in threading.enumerate()}
    assert "headrace-batches_0" not in {thread.name for thread in threading.enumerate()}
