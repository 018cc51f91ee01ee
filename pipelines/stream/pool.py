"""Petastorm reader pool that returns planned results in planned order, and loses none.

Petastorm's `ThreadPool` asks whether all workers are done before it asks whether all work was
dealt, and ends early when the dealer is late; its `Ventilator` deals in an order of its own. This
pool knows its work beforehand: it needs no ventilator and ends when the last result was taken.

Memory: at most `ahead` results wait, however slow the consumer is.
"""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

from petastorm.workers_pool import EmptyResultError


class PlannedPool:
    """The pool interface of `petastorm.workers_pool`, over a fixed list of tasks."""

    def __init__(self, tasks: Sequence[Any], *, workers_count: int, ahead: int) -> None:
        """
        Args:
            tasks: arguments for the worker's `process`, one a result, in the order of results.
            workers_count: reader threads.
            ahead: results read before they are asked for, at least 1.
        """
        self.workers_count = workers_count
        self._tasks = iter(tasks)
        self._count, self._begun = len(tasks), 0
        self._ahead = max(1, ahead)
        self._waiting: deque[Future[Any]] = deque()
        self._thread = threading.local()
        self._executor: ThreadPoolExecutor | None = None

    def start(self, worker_class: Any, worker_args: Any = None, ventilator: Any = None) -> None:
        """Begin reading ahead. `ventilator` is not used: the plan is the order."""
        self._worker_class, self._worker_args = worker_class, worker_args
        self._executor = ThreadPoolExecutor(
            self.workers_count, thread_name_prefix="headrace-reader"
        )
        for _ in range(self._ahead):
            self._submit()

    @property
    def all_begun(self) -> bool:
        """Whether every task was given to a reader thread."""
        return self._begun == self._count

    def ventilate(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("a PlannedPool knows its tasks from the start")

    def get_results(self) -> Any:
        """The next result; what the worker raised is raised here.

        Raises:
            EmptyResultError: every task's result was taken.
        """
        if not self._waiting:
            raise EmptyResultError
        future = self._waiting.popleft()
        self._submit()
        try:
            return future.result()
        except CancelledError:
            raise EmptyResultError from None

    def stop(self) -> None:
        """Drop what was not begun; what is being read ends by itself."""
        if self._executor:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        """Wait for the reader threads to end."""
        if self._executor:
            self._executor.shutdown(wait=True, cancel_futures=True)

    @property
    def diagnostics(self) -> dict[str, int]:
        return {"results_waiting": sum(future.done() for future in self._waiting)}

    def _submit(self) -> None:
        assert self._executor is not None
        for task in self._tasks:
            self._waiting.append(self._executor.submit(self._run, task))
            self._begun += 1
            return

    def _run(self, task: Any) -> Any:
        if not hasattr(self._thread, "worker"):
            self._thread.published = []
            self._thread.worker = self._worker_class(
                threading.get_ident(), self._thread.published.append, self._worker_args
            )
        self._thread.published.clear()
        self._thread.worker.process(task)
        (result,) = self._thread.published
        return result
