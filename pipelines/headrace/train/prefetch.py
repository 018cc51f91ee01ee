"""Asking for the next batch while a step is computed."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def ahead(items: Iterator[Item]) -> Iterator[Iterator[Item]]:
    """The same items; a thread asks for the next one, from now on, whatever the caller does.

    Asking tf.data for a batch takes half a millisecond on a busy processor. It pays where the
    caller does not hold the interpreter lock for long, as in a compiled step.

    Args:
        items: none of them None; closed by the thread's end.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="headrace-batches")
    asked = deque([thread.submit(next, items, None)])

    def given() -> Iterator[Item]:
        while (item := asked.popleft().result()) is not None:
            asked.append(thread.submit(next, items, None))
            yield item

    try:
        yield given()
    finally:
        thread.shutdown(cancel_futures=True)
