"""Start ranks on several hosts over a remote shell, as `horovodrun -H` does.

Each host needs this package at the same path, on a shared disk or in one image. The agent over
there gets its settings through standard input, so that no list of processes shows the secret.
"""

import contextlib
import json
import shlex
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from headrace.distributed.addresses import find_local_address
from headrace.distributed.supervise.control_server import ControlServer
from headrace.distributed.task import RankTask
from headrace.errors import RankError
from headrace.foreign_lines import write_foreign_line
from headrace.processes import build_python_command
from headrace.progress import Report

_READ_SECONDS = 2.0


class HostsLauncher(ControlServer):
    """A launcher that starts an agent for each rank on hosts; see `supervisor.Launcher`."""

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
            remote_shell: command before a host's name and the command to run there.
            address: of this machine, as the hosts reach it.
            secret: of this run.
            task, report: see `control_server.ControlServer`.
        """
        super().__init__(address, 0, secret, task, report)
        self._hosts = [_parse_host(host) for host in hosts]
        self._shell = list(remote_shell)
        self._started: list[tuple[str, subprocess.Popen[str]]] = []
        self._readers: list[threading.Thread] = []
        self._output: list[str] = []
        self._pending = 0

    def start_workers(self, count: int) -> None:
        slots = sum(slots for _, slots in self._hosts)
        if count > slots:
            raise RankError(
                f"train.launcher.hosts has {slots} slots, too few for {count} ranks; add slots, or "
                "lower train.ranks"
            )
        self._pending += count
        self._fill_slots()

    def start_pending(self) -> None:
        self._fill_slots()  # a lost rank's slot is free once its agent has exited

    def raise_if_failed(self) -> None:
        with self._lock:
            joined = {worker.order for worker in self._workers.values()}
        for order, (name, process) in enumerate(self._started):
            if process.poll() is not None and order not in joined:
                self._readers[order].join(_READ_SECONDS)  # its last lines may not be read yet
                output = "\n".join(self._output[-20:]) or "it printed nothing"
                raise RankError(
                    f"no rank could be started on {name}: {output}; check that "
                    f"`{shlex.join(self._shell)} {name} true` works and that headrace is at the "
                    "same path there"
                )

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        for _, process in self._started:
            try:
                process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _find_free_host(self) -> str | None:
        running = [name for name, process in self._started if process.poll() is None]
        for name, slots in self._hosts:
            if running.count(name) < slots:
                return name
        return None

    def _fill_slots(self) -> None:
        while self._pending and (name := self._find_free_host()):
            self._pending -= 1
            self._started.append((name, self._start_agent(name, len(self._started))))

    def _start_agent(self, name: str, order: int) -> "subprocess.Popen[str]":
        words = build_python_command("-m", "headrace.distributed.supervise.agent")
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
        connection = {
            "address": self.address,
            "port": self.port,
            "secret": self.secret,
            "order": order,
        }
        with contextlib.suppress(BrokenPipeError):  # it exited: raise_if_failed() says why
            process.stdin.write(json.dumps(connection) + "\n")
            process.stdin.flush()
        reader = threading.Thread(
            target=self._read_output, args=(name, process.stdout), daemon=True
        )
        self._readers.append(reader)
        reader.start()
        return process

    def _read_output(self, name: str, stream: IO[str]) -> None:
        for line in stream:
            self._output.append(line.rstrip())
            del self._output[:-40]
            write_foreign_line("" if line.startswith("[rank") else name, line)


def find_launcher_address(hosts: Sequence[str]) -> str:
    """Return this machine's address as the first of the hosts reaches it."""
    return find_local_address(_parse_host(hosts[0])[0])


def _parse_host(host: str) -> tuple[str, int]:
    """Return name and number of slots of `name` (one slot) or `name:slots`."""
    name, _, slots = host.partition(":")
    return name, int(slots or 1)
