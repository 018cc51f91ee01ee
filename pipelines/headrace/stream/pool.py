"""Run planned tasks on reader threads, and return every result in planned order.

This is a reader pool for Petastorm. Petastorm's own `ThreadPool` asks whether all workers are done
before it asks whether all work was submitted, and ends early when submission is late; its
`Ventilator` submits in an order of its own. This pool has all tasks from the start: it needs no
ventilator and ends when the last result was returned.

Memory: at most `prefetch` results wait, however slow the consumer is.
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
        self,
        tasks: Sequence[Any],
        *,
        threads: ThreadPoolExecutor,
        workers_count: int,
        prefetch: int,
    ) -> None:
        """
        Args:
            tasks: arguments for the worker's `process`, one per result, in the order of results.
            threads: the reader threads; shared with other pools, and not shut down by this one.
            workers_count: number of threads.
            prefetch: results that are read before they are needed, at least 1.
        """
        self.workers_count = workers_count
        self._threads = threads
        self._tasks = iter(tasks)
        self._count, self._submitted = len(tasks), 0
        self._prefetch = max(1, prefetch)
        self._pending: deque[Future[Any]] = deque()
        self._thread = threading.local()

    def start(self, worker_class: Any, worker_args: Any = None, ventilator: Any = None) -> None:
        """Begin prefetching. `ventilator` is not used: the plan is the order."""
        self._worker_class, self._worker_args = worker_class, worker_args
        for _ in range(self._prefetch):
            self._submit_next()

    @property
    def has_submitted_all(self) -> bool:
        """Return whether every task was submitted to the reader threads."""
        return self._submitted == self._count

    def ventilate(self, *args: Any, **kwargs: Any) -> None:
        """Refuse further tasks; part of Petastorm's interface."""
        raise NotImplementedError("a PlannedPool has all its tasks from the start")

    def get_results(self) -> Any:
        """Return the next result, or raise what the worker raised.

        Raises:
            EmptyResultError: every task's result was returned.
        """
        if not self._pending:
            raise EmptyResultError
        future = self._pending.popleft()
        self._submit_next()
        try:
            return future.result()
        except CancelledError:
            raise EmptyResultError from None

    def stop(self) -> None:
        """Cancel the tasks that have not started; those that run end by themselves."""
        self._tasks = iter(())
        for future in self._pending:
            future.cancel()

    def join(self) -> None:
        """Wait for the tasks that run."""
        self.stop()
        # Cancelled futures are left out: once the interpreter shuts its threads down, waiting for
        # them would never end.
        wait([future for future in self._pending if not future.cancelled()])

    @property
    def diagnostics(self) -> dict[str, int]:
        """Return counts for Petastorm's `Reader.diagnostics`."""
        return {"results_waiting": sum(future.done() for future in self._pending)}

    def _submit_next(self) -> None:
        for task in self._tasks:
            self._pending.append(self._threads.submit(self._process_task, task))
            self._submitted += 1
            return

    def _process_task(self, task: Any) -> Any:
        if not hasattr(self._thread, "worker"):
            self._thread.published = []
            self._thread.worker = self._worker_class(
                threading.get_ident(), self._thread.published.append, self._worker_args
            )
        self._thread.worker.process(task)
        return self._thread.published.pop()
