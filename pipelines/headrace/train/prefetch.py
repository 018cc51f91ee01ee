"""Prefetch the next batch in a thread while a step is computed."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def prefetch_items(items: Iterator[Item]) -> Iterator[Iterator[Item]]:
    """Yield an iterator over the same items, of which a thread always fetches the next one.

    The thread starts at once. Fetching a batch from tf.data takes half a millisecond on a busy
    processor. It pays where the caller does not hold the interpreter lock for long, as in a
    compiled step.

    Args:
        items: none of them None; advanced in the thread only.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="headrace-batches")
    pending = deque([thread.submit(next, items, None)])

    def iterate_prefetched() -> Iterator[Item]:
        while (item := pending.popleft().result()) is not None:
            pending.append(thread.submit(next, items, None))
            yield item

    try:
        yield iterate_prefetched()
    finally:
        thread.shutdown(cancel_futures=True)
