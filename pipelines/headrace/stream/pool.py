"""Run planned tasks on reader threads, and return every result in planned order.

A pool has all its tasks from the start, and ends when the last result was returned. So it cannot
mistake late submission for the end, as a pool does that is fed by another thread.

Memory: at most `prefetch` results wait, however slow the consumer is.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class PlannedPool(Generic[Task, Result]):
    """The results of a fixed list of tasks; prefetching begins when it is created."""

    def __init__(
        self,
        tasks: Sequence[Task],
        make_worker: Callable[[], Callable[[Task], Result]],
        *,
        threads: ThreadPoolExecutor,
        prefetch: int,
    ) -> None:
        """
        Args:
            tasks: one per result, in the order of results.
            make_worker: makes the function that turns a task into its result; each thread has one
                of its own, which may keep what the next task can use.
            threads: the reader threads; shared with other pools, and not shut down by this one.
            prefetch: results that are read before they are needed, at least 1.
        """
        self._make_worker, self._threads = make_worker, threads
        self._tasks = iter(tasks)
        self._count, self._submitted = len(tasks), 0
        self._pending: deque[Future[Result]] = deque()
        self._thread = threading.local()
        for _ in range(max(1, prefetch)):
            self._submit_next()

    @property
    def has_submitted_all(self) -> bool:
        """Return whether every task was submitted to the reader threads."""
        return self._submitted == self._count

    def get_result(self) -> Result | None:
        """Return the next result, or raise what the worker raised; None after the last one, and
        for a task that was cancelled."""
        if not self._pending:
            return None
        future = self._pending.popleft()
        self._submit_next()
        try:
            return future.result()
        except CancelledError:
            return None

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

    def _submit_next(self) -> None:
        for task in self._tasks:
            self._pending.append(self._threads.submit(self._process_task, task))
            self._submitted += 1
            return

    def _process_task(self, task: Task) -> Result:
        if not hasattr(self._thread, "worker"):
            self._thread.worker = self._make_worker()
        result: Result = self._thread.worker(task)
        return result
