"""Ranks on several hosts, started over a remote shell as `horovodrun -H` does.

Each host needs this package at the same path, as on a shared disk or in one image. What the agent
there has to know goes over standard input, so that no list of processes shows the secret.
"""

import contextlib
import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from headrace.distributed.supervise.agent import address_to
from headrace.distributed.supervise.control_server import Board
from headrace.distributed.task import RankTask
from headrace.errors import RankError
from headrace.processes import python_command
from headrace.progress import Report


class HostsSource(Board):
    """Starts an agent for every rank; see `supervisor.Source`."""

    def __init__(
        self,
        hosts: Sequence[str],
        remote_shell: Sequence[str],
        address: str,
        secret: str,
        task: RankTask,
        report: Report,
    ) -> None:
        """
        Args:
            hosts: `name` or `name:slots` of each.
            remote_shell: words before a host's name and a command.
            address: of this machine, as the hosts reach it.
            secret: of this run.
            task, report: see `board.Board`.
        """
        super().__init__(address, 0, secret, task, report)
        self._hosts = [_slots(host) for host in hosts]
        self._shell = list(remote_shell)
        self._started: list[tuple[str, subprocess.Popen[str]]] = []
        self._said: list[str] = []
        self._wanted = 0

    def start(self, count: int) -> None:
        slots = sum(slots for _, slots in self._hosts)
        if count > slots:
            raise RankError(f"train.launcher.hosts have {slots} slots for {count} ranks")
        self._wanted += count
        self._fill()

    def tend(self) -> None:
        self._fill()  # a lost rank's slot is free when its agent has ended

    def check(self) -> None:
        with self._lock:
            came = {worker.order for worker in self._workers.values()}
        for order, (name, process) in enumerate(self._started):
            if process.poll() is not None and order not in came:
                said = "\n".join(self._said[-20:]) or "it said nothing"
                raise RankError(f"no rank could be started on {name}: {said}")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        for _, process in self._started:
            try:
                process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _free(self) -> str | None:
        running = [name for name, process in self._started if process.poll() is None]
        for name, slots in self._hosts:
            if running.count(name) < slots:
                return name
        return None

    def _fill(self) -> None:
        while self._wanted and (name := self._free()):
            self._wanted -= 1
            self._started.append((name, self._start(name, len(self._started))))

    def _start(self, name: str, order: int) -> "subprocess.Popen[str]":
        words = python_command("-m", "headrace.distributed.supervise.agent")
        command = f"cd {shlex.quote(str(Path.cwd()))} && exec {shlex.join(words)}"
        process = subprocess.Popen(
            [*self._shell, name, command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        given = {
            "address": self.address,
            "port": self.port,
            "secret": self.secret,
            "order": order,
        }
        with contextlib.suppress(BrokenPipeError):  # it has ended: check() says why
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
        threading.Thread(target=self._read, args=(name, process.stdout), daemon=True).start()
        return process

    def _read(self, name: str, stream: IO[str]) -> None:
        for line in stream:
            self._said.append(line.rstrip())
            del self._said[:-40]
            sys.stderr.write(line if line.startswith("[rank") else f"[{name}] {line}")
            sys.stderr.flush()


def way_to(hosts: Sequence[str]) -> str:
    """This machine's address as the first of the hosts reaches it."""
    return address_to(_slots(hosts[0])[0])


def _slots(host: str) -> tuple[str, int]:
    name, _, slots = host.partition(":")
    return name, int(slots or 1)
