"""Read planned blocks through Petastorm's `Reader`, with our own pool and worker.

Both are plugged into Petastorm's extension points. Its own `ThreadPool` asks whether all workers
are done before it asks whether all work was submitted, and ends early when submission is late; its
`Ventilator` submits in an order of its own. Its batch worker converts through pandas, a column at a
time, and returns whole row groups only.
"""

import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from headrace.stream.footers import retry_transient_errors
from headrace.stream.petastorm_api import EmptyResultError, Reader, WorkerBase
from headrace.stream.pool import PlannedPool
from headrace.stream.worker import BlockResult, BlockTask, BlockWorker

# Raised by every Reader that is opened; a user can do nothing about it.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\.|pyarrow\.")


class PetastormReader:
    """A `block_reader.BlockReader` that reads through Petastorm."""

    def __init__(
        self,
        filesystem: Any,
        tasks: Sequence[BlockTask],
        *,
        threads: ThreadPoolExecutor,
        prefetch: int,
    ) -> None:
        """
        Args:
            filesystem, tasks, threads, prefetch: see `block_reader.open_block_reader`.

        Raises:
            OSError, pyarrow.ArrowException: the first block's file is missing, damaged or out of
                reach.
        """
        self._pool = ReaderPool(tasks, threads=threads, prefetch=prefetch)
        # Petastorm gets one file, whose schema it reads: it would make a request for each of them.
        schema_path = tasks[0].paths[tasks[0].block.ranges[0].file]

        def open_reader() -> Any:
            return Reader(
                filesystem,
                [schema_path],
                worker_class=ReaderWorker,
                reader_pool=self._pool,
                shuffle_row_groups=False,
                num_epochs=1,
                is_batched_reader=True,
            )

        self._reader = retry_transient_errors(open_reader)

    @property
    def has_submitted_all(self) -> bool:
        """Return whether the last block was submitted to the reader threads."""
        return self._pool.has_submitted_all

    def read_block(self) -> BlockResult | None:
        """Read the next block; see `block_reader.BlockReader`."""
        result: BlockResult | None = next(self._reader, None)
        return result

    def close(self) -> None:
        """Cancel what has not been read, and wait for the blocks that are being read."""
        self._reader.stop()
        self._reader.join()


class ReaderPool:
    """The pool interface of `petastorm.workers_pool`, over a `PlannedPool`.

    Attributes:
        workers_count: asked by Petastorm for the size of its ventilator's queue, which is not used.
    """

    workers_count = 1

    def __init__(self, tasks: Sequence[Any], *, threads: ThreadPoolExecutor, prefetch: int) -> None:
        """
        Args:
            tasks: arguments for the worker's `process`, one per result, in the order of results.
            threads, prefetch: see `PlannedPool`.
        """
        self._tasks, self._threads, self._prefetch = tasks, threads, prefetch
        self._pool: PlannedPool[Any, Any] | None = None

    @property
    def has_submitted_all(self) -> bool:
        """Return whether every task was submitted to the reader threads."""
        return self._pool is not None and self._pool.has_submitted_all

    def start(self, worker_class: Any, worker_args: Any = None, ventilator: Any = None) -> None:
        """Begin prefetching. `ventilator` is not used: the plan is the order."""

        def make_worker() -> Callable[[Any], Any]:
            published: list[Any] = []
            worker = worker_class(threading.get_ident(), published.append, worker_args)

            def process_task(task: Any) -> Any:
                worker.process(task)
                return published.pop()

            return process_task

        self._pool = PlannedPool(
            self._tasks, make_worker, threads=self._threads, prefetch=self._prefetch
        )

    def ventilate(self, *args: Any, **kwargs: Any) -> None:
        """Refuse further tasks; part of Petastorm's interface."""
        raise NotImplementedError("a ReaderPool has all its tasks from the start")

    def get_results(self) -> Any:
        """Return the next result, or raise what the worker raised.

        Raises:
            EmptyResultError: every task's result was returned.
        """
        result = self._pool.get_result() if self._pool else None
        if result is None:
            raise EmptyResultError
        return result

    def stop(self) -> None:
        """Cancel the tasks that have not started; those that run end by themselves."""
        if self._pool:
            self._pool.stop()

    def join(self) -> None:
        """Wait for the tasks that run."""
        if self._pool:
            self._pool.join()

    @property
    def diagnostics(self) -> dict[str, int]:
        """Return nothing for Petastorm's `Reader.diagnostics`."""
        return {}


class ReaderWorker(WorkerBase):
    """Petastorm's interface to a `BlockWorker`; an instance belongs to one thread."""

    def __init__(self, worker_id: int, publish_func: Any, args: Any) -> None:
        super().__init__(worker_id, publish_func, args)
        self._worker = BlockWorker(args[0])

    @staticmethod
    def new_results_queue_reader() -> "ResultsReader":
        """Return the reader of results; part of Petastorm's interface."""
        return ResultsReader()

    def process(self, task: BlockTask) -> None:
        """Read one block, and publish its result.

        Raises:
            StreamError: see `BlockWorker.read_block`.
        """
        self.publish_func(self._worker.read_block(task))


class ResultsReader:
    """Petastorm's reader of results: it passes blocks on as they are."""

    batched_output = True

    def read_next(self, workers_pool: Any, schema: Any, ngram: Any) -> BlockResult:
        """Return the pool's next result.

        Raises:
            StopIteration: every result was returned.
        """
        try:
            result: BlockResult = workers_pool.get_results()
        except EmptyResultError:
            raise StopIteration from None
        return result
