"""Keep processes of ranks on this machine: they import TensorFlow while other work goes on, and
stay for the next task.

A task takes one where there is one with its environment, else a process is started for it as
always. A process serves one task at a time, and ends where a task fails in it.
"""

import contextlib
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from headrace.distributed.heartbeat import Heartbeat
from headrace.distributed.supervise.worker import LocalWorker, build_environment, create_folder
from headrace.distributed.task import RankTask
from headrace.processes import build_python_command
from headrace.progress import Report

_INTERFACE = "lo"
_END_SECONDS = 5.0


class KeptRanks:
    """Processes of ranks that wait for tasks; as a context it ends them."""

    def __init__(
        self,
        modules: Sequence[str],
        *,
        threads_per_rank: int = 1,
        collective_timeout: int = 30,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            modules: that the processes import, beside TensorFlow.
            threads_per_rank, collective_timeout, environment: of the tasks to come; see `RankTask`.
        """
        self._modules = tuple(modules)
        self._limits = RankTask(
            "",
            {},
            threads_per_rank=threads_per_rank,
            collective_timeout=collective_timeout,
            environment=dict(environment or {}),
        )
        self._processes: list[KeptProcess] = []

    def __enter__(self) -> "KeptRanks":
        return self

    def __exit__(self, *_: Any) -> None:
        for process in self._processes:
            process.start_kill()
        for process in self._processes:
            process.kill()

    def start(self, count: int) -> None:
        """Start that many processes; called by a thread that lives as long as they should."""
        environment = build_environment(self._limits, _INTERFACE)
        self._processes += [KeptProcess(environment, self._modules) for _ in range(count)]

    def take(self, path: Path, task: RankTask, report: Report) -> LocalWorker | None:
        """Take the first process that has nothing to do; None where none fits the task.

        Args:
            path: of the rank's folder, which is created.
            task: what it runs.
            report: receives its progress if it is rank 0.
        """
        if _list_limits(task) != _list_limits(self._limits):
            return None
        process = next((process for process in self._processes if process.is_idle()), None)
        return KeptWorker(path, task, report, process) if process else None


def _list_limits(task: RankTask) -> tuple[Any, ...]:
    return task.threads_per_rank, task.collective_timeout, task.environment


class KeptProcess:
    """A process that waits for tasks, with the worker that it works for at present."""

    def __init__(self, environment: dict[str, str], modules: Sequence[str]) -> None:
        self._worker: KeptWorker | None = None
        self._task_ended = threading.Event()
        events, child_events = os.pipe()
        child_tasks, tasks = os.pipe()
        numbers = [str(child_tasks), str(child_events), str(os.getpid())]
        self.process = subprocess.Popen(
            build_python_command("-m", "headrace.distributed.rank.kept", *numbers, *modules),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=[child_tasks, child_events],
        )
        os.close(child_events)
        os.close(child_tasks)
        self._tasks = os.fdopen(tasks, "w", encoding="utf-8", buffering=1)
        assert self.process.stdout is not None
        self._threads = [
            threading.Thread(target=self._read_log, args=(self.process.stdout,), daemon=True),
            threading.Thread(target=self._read_events, args=(events,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def is_idle(self) -> bool:
        """Return whether it runs, and has no task, or has done it."""
        is_free = self._worker is None or self._worker.poll_exit_code() == 0
        return is_free and self.process.poll() is None

    def begin_task(self, worker: "KeptWorker", folder: Path) -> None:
        """Have it run the task that is in a folder, for a worker."""
        self._worker = worker
        self._task_ended.clear()
        with contextlib.suppress(OSError):  # it has just died, which its exit code tells
            self._tasks.write(f"{folder}\n")

    def wait_for_progress(self) -> None:
        """Wait until all progress of a task that is done has been reported."""
        self._task_ended.wait(_END_SECONDS)

    def start_kill(self) -> None:
        """Send it SIGKILL, and wait for nothing."""
        if self.process.poll() is None:
            self.process.kill()

    def kill(self) -> None:
        """Send it SIGKILL, and wait until it is gone."""
        self.start_kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            self._tasks.close()
        for thread in self._threads:
            thread.join(timeout=_END_SECONDS)

    def _read_log(self, stream: IO[str]) -> None:
        for line in stream:
            if self._worker is not None:
                self._worker.take_log_line(line)
        code = self.process.wait()
        if self._worker is not None and not self._worker.is_done():
            self._worker.take_end_of_log(code)

    def _read_events(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "r", encoding="utf-8") as stream:
            for line in stream:
                if line == "\n":
                    self._task_ended.set()
                elif self._worker is not None:
                    self._worker.take_progress(line)
        self._task_ended.set()


class KeptWorker(LocalWorker):
    """A worker whose process was there before its task, and stays when it is done."""

    def __init__(self, path: Path, task: RankTask, report: Report, kept: KeptProcess) -> None:
        self.host, self.slot, self.log_tail = "localhost", None, []
        self._report, self._kept, self._process = report, kept, kept.process
        self._folder = create_folder(path, task)
        self._heartbeat = Heartbeat(self._folder.heartbeat_path)
        self._has_done_task = False
        kept.begin_task(self, path)

    def is_done(self) -> bool:
        """Return whether its task is done."""
        # Remembered: the folder is removed, and the process has other tasks then.
        self._has_done_task = self._has_done_task or self._folder.is_done()
        return self._has_done_task

    def poll_exit_code(self) -> int | None:
        return 0 if self.is_done() else self._process.poll()

    def terminate(self) -> None:
        if not self.is_done():
            super().terminate()

    def start_kill(self) -> None:
        if not self.is_done():
            self._kept.start_kill()

    def kill(self) -> None:
        if self.is_done():
            self._kept.wait_for_progress()
        else:
            self._kept.kill()
