"""Petastorm reader pool that returns planned results in planned order, and loses none.

Petastorm's `ThreadPool` asks whether all workers are done before it asks whether all work was
dealt, and ends early when the dealer is late; its `Ventilator` deals in an order of its own. This
pool knows its work beforehand: it needs no ventilator and ends when the last result was taken.

Memory: at most `ahead` results wait, however slow the consumer is.
"""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from typing import Any

from headrace.stream.petastorm_api import EmptyResultError


class PlannedPool:
    """The pool interface of `petastorm.workers_pool`, over a fixed list of tasks."""

    def __init__(
        self, tasks: Sequence[Any], *, threads: ThreadPoolExecutor, workers_count: int, ahead: int
    ) -> None:
        """
        Args:
            tasks: arguments for the worker's `process`, one a result, in the order of results.
            threads: who works; shared with other pools, and not ended by this one.
            workers_count: how many they are.
            ahead: results read before they are asked for, at least 1.
        """
        self.workers_count = workers_count
        self._threads = threads
        self._tasks = iter(tasks)
        self._count, self._begun = len(tasks), 0
        self._ahead = max(1, ahead)
        self._waiting: deque[Future[Any]] = deque()
        self._thread = threading.local()

    def start(self, worker_class: Any, worker_args: Any = None, ventilator: Any = None) -> None:
        """Begin reading ahead. `ventilator` is not used: the plan is the order."""
        self._worker_class, self._worker_args = worker_class, worker_args
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
        self._tasks = iter(())
        for future in self._waiting:
            future.cancel()

    def join(self) -> None:
        """Wait for what is being read."""
        self.stop()
        # Of those that were cancelled nobody says so once the interpreter ends its threads.
        wait([future for future in self._waiting if not future.cancelled()])

    @property
    def diagnostics(self) -> dict[str, int]:
        return {"results_waiting": sum(future.done() for future in self._waiting)}

    def _submit(self) -> None:
        for task in self._tasks:
            self._waiting.append(self._threads.submit(self._run, task))
            self._begun += 1
            return

    def _run(self, task: Any) -> Any:
        if not hasattr(self._thread, "worker"):
            self._thread.published = []
            self._thread.worker = self._worker_class(
                threading.get_ident(), self._thread.published.append, self._worker_args
            )
        self._thread.worker.process(task)
        return self._thread.published.pop()
