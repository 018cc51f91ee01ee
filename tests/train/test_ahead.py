"""The next batch is asked for while the caller works; order, errors and ends stay."""

import threading
from collections.abc import Iterator

import pytest

from headrace.train.prefetch import ahead


def test_the_next_item_is_made_before_it_is_asked_for() -> None:
    made = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    with ahead(items()) as found:
        assert made[0].wait(10)  # before anybody asked
        assert not made[1].is_set()
        assert next(found) == 0
        assert made[1].wait(10)
        assert list(found) == [1, 2]


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the lake is dry")

    with ahead(items()) as found:
        assert next(found) == 1
        with pytest.raises(OSError, match="the lake is dry"):
            next(found)


def test_leaving_early_ends_the_thread() -> None:
    with ahead(iter(range(1000))) as found:
        assert next(found) == 0
        assert "headrace-batches_0" in {t.name for t in threading.enumerate()}
    assert "headrace-batches_0" not in {t.name for t in threading.enumerate()}
