"""Where agents on other hosts meet the supervisor: an HTTP server that takes and gives JSON.

An agent (`agent.py`) starts one rank's process and tells a few times a second how it is; the answer
says what is to be done. Whoever does not know the run's secret is turned away. Nothing is pickled.
"""

import hmac
import json
import signal
import socket
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from headrace.distributed.heartbeat import Position
from headrace.distributed.slot import Place
from headrace.distributed.supervise.worker import Worker, said_of
from headrace.distributed.task import RankTask
from headrace.progress import Progress, Report

HEADER = "X-Headrace-Secret"
# Seconds of silence after which a host counts as lost.
_SILENCE = 20.0
_LARGEST = 64 * 2**20
# An agent of a run whose supervisor died may find the next run's at the same place.
_REPLACED = "this rank's supervisor is gone, and that of another run is in its place"


class RemoteWorker:
    """A rank on another host, as its agent last told; see `worker.Worker`."""

    def __init__(self, name: str, host: str, order: int) -> None:
        self.name, self.host, self.order = name, host, order
        self.place: Place | None = None
        self.tail: list[str] = []
        self.told: dict[str, Any] = {}
        self.heard_at = time.monotonic()
        self._change: int | None = None
        self._ending = ""

    @property
    def _silent(self) -> bool:
        return self.told.get("code") is None and time.monotonic() - self.heard_at > _SILENCE

    def code(self) -> int | None:
        if self._silent:
            return -signal.SIGKILL
        return self.told.get("code")

    def how(self) -> str:
        if self._silent:
            return f"on {self.host} has not been heard of for {_SILENCE:g} seconds"
        return f"on {self.host} {said_of(self.code())}"

    def position(self) -> Position:
        beats, step, inside, done = self.told.get("position", (0, -1, False, False))
        return Position(beats, step, inside, done)

    def stopped(self) -> bool:
        return bool(self.told.get("stopped"))

    def waiting(self) -> int | None:
        waits: int | None = self.told.get("waiting")
        given = self.place is not None and waits is not None and self.place.generation >= waits
        return None if given else waits

    def error(self) -> dict[str, Any] | None:
        return self.told.get("error")

    def result(self) -> dict[str, Any] | None:
        return self.told.get("result")

    def facts(self) -> dict[str, Any]:
        return self.told.get("facts") or {}

    def assign(self, place: Place) -> None:
        self.place = place

    def ask_change(self, generation: int) -> None:
        self._change = generation

    def terminate(self) -> None:
        self._ending = self._ending or "terminate"

    def kill(self) -> None:
        self._ending = "kill"
        deadline = time.monotonic() + 5
        while self.code() is None and time.monotonic() < deadline:
            time.sleep(0.05)

    def take(self, told: dict[str, Any]) -> dict[str, Any]:
        """What the agent tells; returns the answer."""
        self.heard_at = time.monotonic()
        self.tail = told.pop("tail", self.tail)
        self.told |= told
        return {
            "place": self.place.to_json() if self.place else None,
            "change": self._change,
            "end": self._ending,
        }


class Board:
    """A `supervisor.Source` of workers that come by themselves; `with` closes it."""

    def __init__(
        self, address: str, port: int, secret: str, task: RankTask, report: Report
    ) -> None:
        """
        Args:
            address: to listen on, a name or a number, as the agents reach it.
            port: 0 for any.
            secret: that agents have to know; "" where there is none.
            task: what the ranks run.
            report: told of their progress.
        """
        self.address, self.secret = socket.gethostbyname(address), secret
        self._task, self._report = task, report
        self._workers: dict[str, RemoteWorker] = {}
        self._lock = threading.Lock()
        self._over: dict[str, Any] | None = None
        self._server = ThreadingHTTPServer((self.address, port), _handler_of(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(
            target=self._server.serve_forever, name="headrace-board", daemon=True
        ).start()

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Tell all agents that it is over, give them the time to hear of it, and close."""
        self._over = {"why": None if error is None else str(error)}
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline and self._listening():
            time.sleep(0.05)
        self._server.shutdown()
        self._server.server_close()

    def _listening(self) -> bool:
        with self._lock:
            return any(
                not worker.told.get("bye") and not worker._silent
                for worker in self._workers.values()
            )

    def workers(self) -> Sequence[Worker]:
        with self._lock:
            return sorted(self._workers.values(), key=lambda worker: worker.order)

    def start(self, count: int) -> None:
        """They come by themselves."""

    def tend(self) -> None:
        pass

    def check(self) -> None:
        pass

    def take(self, told: dict[str, Any]) -> dict[str, Any]:
        """One agent's word; returns the answer."""
        name = told["name"]
        with self._lock:
            worker = self._workers.get(name)
            if worker is None and self._over is None:
                if not told.get("first"):
                    return {"over": {"why": _REPLACED}}
                worker = RemoteWorker(name, told["host"], told["order"])
                self._workers[name] = worker
        first = bool(told.get("first"))
        if worker is None:
            return {"over": self._over}
        for progress in told.pop("progress", []):
            self._report(Progress(**progress))
        answer = worker.take(told)
        if first:
            answer["task"] = self._task.to_json()
        return {**answer, "over": self._over}


def _handler_of(board: Board) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_POST(self) -> None:
            secret = self.headers.get(HEADER, "")
            if not hmac.compare_digest(secret.encode(), board.secret.encode()):
                self._answer(403, {"error": "the secret of another run"})
                return
            length = int(self.headers.get("Content-Length") or 0)
            if length > _LARGEST:
                self._answer(413, {"error": f"more than {_LARGEST} bytes"})
                return
            try:
                answer = board.take(json.loads(self.rfile.read(length)))
            except (ValueError, KeyError, TypeError) as error:
                self._answer(400, {"error": repr(error)})
                return
            self._answer(200, answer)

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler
