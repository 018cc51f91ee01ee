"""A rank as its supervisor sees it, and one that is a process of this machine."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, Protocol

from headrace.distributed.heartbeat import Position, Pulse
from headrace.distributed.rank_folder import RankFolder
from headrace.distributed.slot import Place
from headrace.distributed.supervise.watchdog import stopped
from headrace.distributed.task import RankTask
from headrace.processes import python_command
from headrace.progress import Progress, Report

# Lines that are kept of what a rank printed.
_TAIL = 40


class Worker(Protocol):
    """A process that has or gets a place among the ranks.

    Attributes:
        host: where it is, as Horovod names it.
        place: the newest that it got.
        tail: the last lines that it printed.
    """

    host: str
    place: Place | None
    tail: list[str]

    def code(self) -> int | None:
        """Exit code; None while it runs."""

    def how(self) -> str:
        """In what way it ended, as the end of a sentence."""

    def position(self) -> Position:
        """How far it is."""

    def stopped(self) -> bool:
        """Whether it is stopped by a signal."""

    def waiting(self) -> int | None:
        """The generation that it waits for; None while it is busy."""

    def error(self) -> dict[str, Any] | None:
        """What it left where it failed: type, message, traceback, time, lost_a_peer."""

    def result(self) -> dict[str, Any] | None:
        """What its function returned, on rank 0."""

    def facts(self) -> dict[str, Any]:
        """What it wants the ranks of later generations to know."""

    def assign(self, place: Place) -> None:
        """Give it a place."""

    def ask_change(self, generation: int) -> None:
        """Ask it to leave a generation at its next step."""

    def terminate(self) -> None:
        """Tell it to end."""

    def kill(self) -> None:
        """End it, and wait until it is gone."""


def said_of(code: int | None) -> str:
    """How a process ended."""
    if code is None or code >= 0:
        return f"exited with {code}"
    hint = " (out of memory? see the kernel log)" if code == -signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"


def named(worker: Worker) -> str:
    """In a log."""
    return f"rank {worker.place.rank}" if worker.place else "a rank to be"


class LocalWorker:
    """A process started here, with a folder of its own; it dies with this one."""

    def __init__(
        self, path: Path, task: RankTask, report: Report, interface: str, host: str = "localhost"
    ) -> None:
        """
        Args:
            path: of its folder, which is made.
            task: what it runs.
            report: told of its progress where it is rank 0.
            interface: the network interface that Gloo uses.
            host: see `Worker`.
        """
        self.host = host
        self.place: Place | None = None
        self.tail: list[str] = []
        path.mkdir()
        self._folder = RankFolder(path)
        (path / "task.json").write_text(task.to_json(), encoding="utf-8")
        self._pulse = Pulse(self._folder.pulse)
        environment = {
            **os.environ,
            **task.environment,
            "HOROVOD_GLOO_IFACE": interface,
            "HOROVOD_GLOO_TIMEOUT_SECONDS": str(task.collective_timeout),
            "OMP_NUM_THREADS": str(task.threads_per_rank),
            "PYTHONUNBUFFERED": "1",
        }
        events, child_events = os.pipe()
        module = "headrace.distributed.rank.main"
        numbers = [str(child_events), str(os.getpid())]
        self._process = subprocess.Popen(
            python_command("-m", module, str(path), *numbers),
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
            threading.Thread(target=self._read_events, args=(events, report), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def code(self) -> int | None:
        return self._process.poll()

    def how(self) -> str:
        return said_of(self.code())

    def position(self) -> Position:
        return self._pulse.read()

    def stopped(self) -> bool:
        return stopped(self._process.pid)

    def waiting(self) -> int | None:
        waits = self._folder.waiting()
        return None if waits is None or self._folder.place(waits) else waits

    def error(self) -> dict[str, Any] | None:
        return self._folder.error()

    def result(self) -> dict[str, Any] | None:
        return self._folder.result()

    def facts(self) -> dict[str, Any]:
        return self._folder.facts()

    def assign(self, place: Place) -> None:
        self.place = place
        self._folder.assign(place)

    def ask_change(self, generation: int) -> None:
        self._folder.ask_change(generation)

    def terminate(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for thread in self._threads:
            thread.join(timeout=5)

    def _read_log(self, stream: IO[str]) -> None:
        for line in stream:
            self.tail = [*self.tail[1 - _TAIL :], line.rstrip()]
            sys.stderr.write(f"[{named(self)}] {line}")
            sys.stderr.flush()

    def _read_events(self, descriptor: int, report: Report) -> None:
        with os.fdopen(descriptor, "r", encoding="utf-8") as stream:
            for line in stream:
                report(Progress.from_json(line))
