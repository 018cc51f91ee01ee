"""Define a rank's process as its supervisor sees it, and start one on this machine.

A remote one is `remote_worker.RemoteWorker`. What the process does is in `rank/main.py`.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from headrace.distributed.heartbeat import Heartbeat, Position
from headrace.distributed.rank_folder import RankFolder
from headrace.distributed.slot import Slot
from headrace.distributed.supervise.watchdog import is_process_stopped
from headrace.distributed.task import RankTask
from headrace.foreign_lines import write_foreign_line
from headrace.processes import build_python_command
from headrace.progress import Progress, Report
from headrace.work_note import VARIABLE, read_work

# Lines of a rank's output that are remembered for error messages.
_TAIL_LINES = 40


# What a rank works with, whatever another project has set for itself. Python imports nothing from
# the working directory, in processes that a rank starts, too.
OWN_VARIABLES = {"KERAS_BACKEND": "tensorflow", "PYTHONSAFEPATH": "1"}
REMOVED_VARIABLES = ("TF_USE_LEGACY_KERAS",)


def list_unused_variables(environment: Mapping[str, str]) -> list[str]:
    """List the variables of an environment that ranks do not work with, as `NAME=value`."""
    unused = [
        f"{name}={environment[name]}"
        for name, value in OWN_VARIABLES.items()
        if environment.get(name, value) != value
    ]
    return unused + [f"{n}={environment[n]}" for n in REMOVED_VARIABLES if environment.get(n)]


def build_environment(task: RankTask, interface: str) -> dict[str, str]:
    """Build the environment of a rank's process.

    Args:
        task: what it runs; its limits and variables are read.
        interface: the network interface that Gloo uses.
    """
    environment = {
        **os.environ,
        **task.environment,
        "HOROVOD_GLOO_IFACE": interface,
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(task.collective_timeout),
        "OMP_NUM_THREADS": str(task.threads_per_rank),
        "PYTHONUNBUFFERED": "1",
        **OWN_VARIABLES,
    }
    return {key: value for key, value in environment.items() if key not in REMOVED_VARIABLES}


class Worker(Protocol):
    """A process that has, or waits for, a slot among the ranks.

    Attributes:
        host: where it runs, as Horovod names the host.
        slot: the newest that it was assigned.
        log_tail: the last lines that it printed.
    """

    host: str
    slot: Slot | None
    log_tail: list[str]

    def poll_exit_code(self) -> int | None:
        """Return the exit code, negative after a signal; None while it runs."""

    def describe_exit(self) -> str:
        """Return how it exited, as the end of a sentence."""

    def read_position(self) -> Position:
        """Return its present position."""

    def is_stopped(self) -> bool:
        """Return whether it is stopped by a signal."""

    def read_awaited_generation(self) -> int | None:
        """Return the generation that it waits for; None while it works in one."""

    def read_error(self) -> dict[str, Any] | None:
        """Return the error that ended it: type, message, traceback, time, lost_a_peer."""

    def read_result(self) -> dict[str, Any] | None:
        """Return what its function returned, if it is rank 0 and finished."""

    def read_carried_values(self) -> dict[str, Any]:
        """Return what it saved for the ranks of later generations."""

    def assign_slot(self, slot: Slot) -> None:
        """Assign it a slot of the next generation."""

    def request_change(self, generation: int) -> None:
        """Ask it to leave a generation at its next step."""

    def terminate(self) -> None:
        """Send it SIGTERM."""

    def start_kill(self) -> None:
        """Send it SIGKILL, and wait for nothing."""

    def kill(self) -> None:
        """Send it SIGKILL, and wait until it is gone."""


def create_folder(path: Path, task: RankTask) -> RankFolder:
    """Create a rank's folder, with its task in it."""
    path.mkdir()
    (path / "task.json").write_text(task.to_json(), encoding="utf-8")
    return RankFolder(path)


def describe_exit_code(code: int | None) -> str:
    """Return how a process exited, as the end of a sentence."""
    if code is None or code >= 0:
        return f"exited with {code}"
    hint = " (out of memory? see the kernel log)" if code == -signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"


def describe_worker(worker: Worker) -> str:
    """Return the name of a worker in messages and logs."""
    return f"rank {worker.slot.rank}" if worker.slot else "unassigned rank"


class LocalWorker:
    """A process started here, with a folder of its own; it dies with this process."""

    def __init__(
        self, path: Path, task: RankTask, report: Report, interface: str, host: str = "localhost"
    ) -> None:
        """
        Args:
            path: of its folder, which is created.
            task: what it runs.
            report: receives its progress if it is rank 0.
            interface: the network interface that Gloo uses.
            host: see `Worker`.
        """
        self.host = host
        self.slot: Slot | None = None
        self.log_tail: list[str] = []
        self._report = report
        self._folder = create_folder(path, task)
        self._heartbeat = Heartbeat(self._folder.heartbeat_path)
        environment = {**build_environment(task, interface), VARIABLE: str(path / "work")}
        events, child_events = os.pipe()
        module = "headrace.distributed.rank.main"
        numbers = [str(child_events), str(os.getpid())]
        self._process = subprocess.Popen(
            build_python_command("-m", module, str(path), *numbers),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=[child_events],
        )
        os.close(child_events)
        assert self._process.stdout is not None
        self._threads = [
            threading.Thread(target=self._read_log, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._read_events, args=(events,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def poll_exit_code(self) -> int | None:
        return self._process.poll()

    def describe_exit(self) -> str:
        return describe_exit_code(self.poll_exit_code())

    def read_position(self) -> Position:
        return self._heartbeat.read_position()

    def is_stopped(self) -> bool:
        return is_process_stopped(self._process.pid)

    def read_awaited_generation(self) -> int | None:
        generation = self._folder.read_awaited_generation()
        if generation is None or self._folder.read_slot(generation):
            return None
        return generation

    def read_error(self) -> dict[str, Any] | None:
        return self._folder.read_error()

    def read_result(self) -> dict[str, Any] | None:
        return self._folder.read_result()

    def read_carried_values(self) -> dict[str, Any]:
        return self._folder.read_carried_values()

    def assign_slot(self, slot: Slot) -> None:
        self.slot = slot
        self._folder.assign_slot(slot)

    def request_change(self, generation: int) -> None:
        self._folder.request_change(generation)

    def terminate(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()

    def start_kill(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    def kill(self) -> None:
        self.start_kill()
        self._process.wait()
        for thread in self._threads:
            thread.join(timeout=5)

    def _read_log(self, stream: IO[str]) -> None:
        for line in stream:
            self.take_log_line(line)
        self.take_end_of_log(self._process.wait())

    def take_log_line(self, line: str) -> None:
        """Show and remember a line that the process has printed."""
        self.log_tail = [*self.log_tail[1 - _TAIL_LINES :], line.rstrip()]
        write_foreign_line(describe_worker(self), line)

    def take_end_of_log(self, exit_code: int) -> None:
        """Show and remember what the process worked on, if a signal ended it."""
        if exit_code < 0 and (files := read_work(self._folder.path / "work")):
            self.take_log_line(f"it was at work on {', '.join(files)}\n")

    def take_progress(self, line: str) -> None:
        """Report progress that the process has sent."""
        self._report(Progress.from_json(line))

    def _read_events(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "r", encoding="utf-8") as stream:
            for line in stream:
                self.take_progress(line)
