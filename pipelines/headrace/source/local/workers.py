"""Run tasks in processes of this machine, each by itself, so that they share nothing but files.

They are not forked from this process, which has threads, of MLflow and Arrow among others. One is
started by name, imports what tasks need (TensorFlow takes seconds, and memory), and forks the
others, which share that. Each of these gets a task after the other, pickled, and ends with this
process; how one ended that died, the first one tells.
"""

import contextlib
import importlib
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from types import TracebackType
from typing import Any, BinaryIO, Protocol

from headrace.errors import HeadraceError, MachineError
from headrace.garbage import freeze_objects, pause_collection
from headrace.signals import die_with_parent
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
            processes: how many run tasks; with 0 tasks run here, one after the other.
            preload: a module that is imported before tasks are run.
        """
        self.count = max(processes, 1)
        self._processes = _start_processes(processes, preload) if processes else None

    @property
    def are_separate(self) -> bool:
        """Return whether tasks run in processes of their own."""
        return self._processes is not None

    def run(self, tasks: Sequence[Runnable]) -> list[Any]:
        """Run tasks, and return what they return, in their order.

        Raises:
            Exception: what the first task that failed raised; the others are given up.
            MachineError: a process ended by itself.
        """
        if self._processes is None:
            return [task.run() for task in tasks]
        free: SimpleQueue[Connection] = SimpleQueue()
        for connection in self._processes.connections:
            free.put(connection)
        failed = threading.Event()

        def run_task(task: Runnable) -> Any:
            if failed.is_set():
                return None
            connection = free.get()
            try:
                return _run_there(connection, task)
            except BaseException:
                failed.set()
                raise
            finally:
                free.put(connection)

        with ThreadPoolExecutor(self.count) as pool:
            futures = [pool.submit(run_task, task) for task in tasks]
            try:
                return [future.result() for future in futures]
            except BaseException:
                failed.set()
                self.stop()
                raise

    def stop(self) -> None:
        """End the processes, whatever they do, and wait until they have ended."""
        if self._processes is not None:
            self._processes.stop()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


@dataclass(frozen=True)
class _Processes:
    """Processes that run tasks.

    Attributes:
        first: the one that has forked the others, and runs none.
        connections: to each of the others.
        alive: descriptor that ends when the last of them has ended.
    """

    first: "subprocess.Popen[bytes]"
    connections: list[Connection]
    alive: BinaryIO

    def stop(self) -> None:
        """End the processes, whatever they do, and wait until they have ended."""
        self.first.terminate()  # the others die with it
        try:
            self.first.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.first.kill()
            self.first.wait()
        if not self.alive.closed:
            select.select([self.alive], [], [], _END_SECONDS)
            self.alive.close()
        for connection in self.connections:
            connection.close()


def _start_processes(count: int, preload: str) -> _Processes:
    pairs = [Pipe() for _ in range(count)]
    alive, their_alive = os.pipe()
    others = [other.fileno() for _, other in pairs]
    environment = {
        "OPENBLAS_NUM_THREADS": "1",  # each has one core; and threads do not outlive a fork
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, ",".join(map(str, others)), preload],
            pass_fds=[*others, their_alive],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the command's has its result
        )
    finally:
        os.close(their_alive)
        for _, other in pairs:
            other.close()
    return _Processes(process, [connection for connection, _ in pairs], os.fdopen(alive, "rb"))


def _run_there(connection: Connection, task: Runnable) -> Any:
    """Run a task in the process at the other end."""
    try:
        connection.send(task)
        succeeded, result = connection.recv()
    except (EOFError, OSError, pickle.UnpicklingError):  # what it began to say, it cannot end
        succeeded, result = None, None
    if succeeded is None:
        how = "unexpectedly"
        if result is not None:
            how = f"by exit code {result}"
            if result < 0:
                how = f"by signal {-result} ({signal.strsignal(-result)})"
        raise MachineError(
            f"a process that reads rows ended {how}; where it is SIGKILL, memory was "
            "short. Free some, or set spark.above_rows to 0, so that Spark reads them"
        )
    if not succeeded:
        raise result
    return result


def _main(descriptors: str, preload: str) -> None:
    """Import a module, fork a process for each connection, and tell how those ended that died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other side says what is to be done
    import pyarrow as pa

    pa.set_cpu_count(1)
    _leave_out_pandas()
    warnings.simplefilter("ignore")  # of libraries to each other; nobody reads them here
    if preload:
        # Whatever goes wrong, a task runs into it and reports it.
        with contextlib.suppress(Exception), pause_collection():
            importlib.import_module(preload)
    freeze_objects()  # and to the memory that all processes share
    connections = [Connection(int(number)) for number in descriptors.split(",")]
    own, by_process = os.getpid(), dict[int, Connection]()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until all are known
    for connection in connections:
        if process := os.fork():
            by_process[process] = connection
            continue
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        die_with_parent(own)
        for other in connections:
            if other is not connection:
                other.close()
        _serve(connection)
        os._exit(0)
    signal.signal(signal.SIGTERM, lambda *_: _kill(by_process))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    while by_process:
        process, status = os.wait()
        connection = by_process.pop(process)
        if code := os.waitstatus_to_exitcode(status):
            with contextlib.suppress(OSError):  # nobody is there
                connection.send((None, code))
        connection.close()


def _leave_out_pandas() -> None:
    """Have Arrow find out now that there is no pandas, which it imports with its first array: a
    quarter second, and memory, for objects that no task has."""
    import pyarrow as pa

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0]).to_numpy()
    finally:
        sys.meta_path.remove(finder)


class _NoPandas(MetaPathFinder):
    """Finds that pandas is not installed."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def _kill(processes: Iterable[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _serve(connection: Connection) -> None:
    """Run what comes until the other side is gone."""
    while True:
        try:
            pickled = connection.recv_bytes()
        except EOFError:
            return
        try:
            with pause_collection():  # a first task imports its modules
                task = pickle.loads(pickled)  # noqa: S301  # from the other side
            answer = (True, task.run())
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
    _main(*sys.argv[1:])
