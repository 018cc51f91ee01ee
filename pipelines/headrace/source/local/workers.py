"""Run tasks in processes of this machine, each by itself, so that they share nothing but files.

Processes are started by name and not forked: this one has threads, of MLflow and Arrow among
others. Each gets a task after the other, pickled, and ends with this one.
"""

import contextlib
import importlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol

from headrace.errors import HeadraceError, MachineError
from headrace.source.local.needs_spark import NeedsSparkError

_END_SECONDS = 5.0


class Runnable(Protocol):
    """A task: what is pickled must be all that it needs."""

    def run(self) -> Any: ...


def deal_groups(groups: Sequence[Sequence[Any]], parts: int) -> list[list[Any]]:
    """Deal groups to so many parts in turn, whole; none of these is empty."""
    dealt: list[list[Any]] = [[] for _ in range(max(1, min(parts, len(groups))))]
    for number, group in enumerate(groups):
        dealt[number % len(dealt)] += group
    return [part for part in dealt if part]


class Workers:
    """Processes that run tasks; or this process, where there are none. A context manager."""

    def __init__(self, processes: int, preload: str = "") -> None:
        """
        Args:
            processes: how many are started; with 0 tasks run here, one after the other.
            preload: a module that they import before they run a task.
        """
        self.count = max(processes, 1)
        self._processes = [_Worker(preload) for _ in range(processes)]

    @property
    def are_separate(self) -> bool:
        """Return whether tasks run in processes of their own."""
        return bool(self._processes)

    def run(self, tasks: Sequence[Runnable]) -> list[Any]:
        """Run tasks, and return what they return, in their order.

        Raises:
            Exception: what the first task that failed raised; the others are given up.
            MachineError: a process ended by itself.
        """
        if not self._processes:
            return [task.run() for task in tasks]
        free: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._processes:
            free.put(worker)
        failed = threading.Event()

        def run_task(task: Runnable) -> Any:
            if failed.is_set():
                return None
            worker = free.get()
            try:
                return worker.run(task)
            except BaseException:
                failed.set()
                raise
            finally:
                free.put(worker)

        with ThreadPoolExecutor(len(self._processes)) as pool:
            futures = [pool.submit(run_task, task) for task in tasks]
            try:
                return [future.result() for future in futures]
            except BaseException:
                failed.set()
                self.stop()
                raise

    def stop(self) -> None:
        """End the processes, whatever they do."""
        for worker in self._processes:
            worker.stop()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class _Worker:
    """A process, and the connection to it."""

    def __init__(self, preload: str) -> None:
        self._connection, other = Pipe()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        with contextlib.closing(other):
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(other.fileno()), preload],
                pass_fds=[other.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # the command's has its result
            )

    def run(self, task: Runnable) -> Any:
        """Run a task there."""
        try:
            self._connection.send(task)
            succeeded, result = self._connection.recv()
        except (EOFError, OSError):
            code = self._process.wait()
            how = f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
            raise MachineError(
                f"a process that reads rows ended by {how}; where it is SIGKILL, memory was "
                "short. Free some, or set spark.above_rows to 0, so that Spark reads them"
            ) from None
        if not succeeded:
            raise result
        return result

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._connection.close()
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _serve(connection: Connection, preload: str) -> None:
    """Run what comes until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other side says what is to be done
    import pyarrow as pa

    pa.set_cpu_count(1)
    warnings.simplefilter("ignore")  # of libraries to each other; nobody reads them here
    if preload:
        with contextlib.suppress(Exception):  # whatever it is, a task runs into it and reports it
            importlib.import_module(preload)
    while True:
        try:
            pickled = connection.recv_bytes()
        except EOFError:
            return
        try:
            answer = (True, pickle.loads(pickled).run())  # noqa: S301  # from the other side
        except Exception as error:
            answer = (False, _make_sendable(error))
        try:
            connection.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            return


def _make_sendable(error: Exception) -> Exception:
    """Return an error that can be pickled, with its notes."""
    if not isinstance(error, HeadraceError | NeedsSparkError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # this process's own
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])), sys.argv[2])
