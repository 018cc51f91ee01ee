"""Serve the agents of ranks on other hosts: the control server, sealed JSON over HTTP.

An agent (`agent.py`) starts one rank's process and posts its status, more rarely the more agents
there are; the answer carries what the supervisor wants of the rank. An agent joins by `POST /join`,
which opens a `sealed_channel`, and posts to the path that it is given there; who does not know the
run's secret is refused. Nothing is pickled. What a status leads to is left to the supervisor.
"""

import base64
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

from headrace.distributed.supervise.many_clients import ManyClientsServer
from headrace.distributed.supervise.remote_worker import RemoteWorker, check_message
from headrace.distributed.supervise.sealed_channel import (
    NONCE_BYTES,
    ForgedMessageError,
    ServerChannel,
    check_secret,
    make_nonce,
)
from headrace.distributed.supervise.worker import Worker
from headrace.distributed.task import RankTask
from headrace.progress import Progress, Report

_MAX_MESSAGE_BYTES = 64 * 2**20
_MAX_JOIN_BYTES = 1000
_MAX_FIRST_BYTES = 2**20
# Messages of all agents in a second, about, and the seconds from one message of an agent to its
# next: so an agent of ten reports ten times a second, and one of a thousand every 2.5 seconds.
# A message takes some 0.3 ms of the supervisor's processor time.
_MESSAGES_PER_SECOND, _SHORTEST_INTERVAL, _LONGEST_INTERVAL = 400, 0.1, 2.5
# Channels of agents that have not posted yet, more than agents that join at once; strangers who
# only join push out one another.
_MAX_UNPROVEN_CHANNELS = 4096
# An agent whose supervisor died may reach that of the next run at the same address and port.
_REPLACED = "this rank's supervisor is gone, and another run's supervisor has taken its address"


class ControlServer:
    """A server for agents, and as such a `supervisor.Launcher`; `with` closes it.

    Subclasses start the agents. Left as it is, it waits for agents that somebody else starts.
    """

    def __init__(
        self,
        address: str,
        port: int,
        secret: str,
        task: RankTask,
        report: Report,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            address: to listen on, a name or a number, as the agents reach it.
            port: to listen on; 0 for any that is free.
            secret: that agents have to know; "" if there is none, on loopback alone.
            task: what the ranks run.
            report: receives rank 0's progress.
            clock: returns seconds since any fixed moment.

        Raises:
            RankError: there is no secret, and others reach the address.
        """
        check_secret(secret, address)
        self.address, self.secret = socket.gethostbyname(address), secret
        self._unproven: dict[str, ServerChannel] = {}
        self._channels: dict[str, ServerChannel] = {}
        self._task, self._report, self._clock = task, report, clock
        self._workers: dict[str, RemoteWorker] = {}
        self._lock = threading.Lock()
        self._outcome: dict[str, Any] | None = None
        self._server = ManyClientsServer((self.address, port), _build_handler_class(self))
        self.port = self._server.server_address[1]
        threading.Thread(
            target=self._server.serve_forever, name="headrace-control-server", daemon=True
        ).start()

    def __enter__(self) -> "ControlServer":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Tell all agents that the run is over, wait until they have heard, and close."""
        self._outcome = {"why": None if error is None else str(error)}
        deadline = self._clock() + 3 + choose_report_interval(len(self._workers))
        while self._clock() < deadline and self._has_listening_agents():
            time.sleep(0.05)
        self._server.shutdown()
        self._server.server_close()

    def _has_listening_agents(self) -> bool:
        with self._lock:
            return any(
                not worker.status.get("bye") and not worker.is_silent
                for worker in self._workers.values()
            )

    def list_workers(self) -> Sequence[Worker]:
        with self._lock:
            return sorted(self._workers.values(), key=lambda worker: worker.order)

    def start_workers(self, count: int) -> None:
        """Leave it to those who start the agents."""

    def start_pending(self) -> None:
        pass

    def raise_if_failed(self) -> None:
        pass

    def open_channel(self, agent_nonce: bytes) -> dict[str, str]:
        """Open a channel to an agent, and return what the agent needs for its side."""
        server_nonce, path = make_nonce(), secrets.token_hex(16)
        channel = ServerChannel(self.secret, agent_nonce, server_nonce)
        with self._lock:
            while len(self._unproven) >= _MAX_UNPROVEN_CHANNELS:
                del self._unproven[next(iter(self._unproven))]
            self._unproven[path] = channel
        return {
            "path": path,
            "nonce": server_nonce.hex(),
            "proof": base64.b64encode(channel.proof).decode(),
        }

    def has_channel(self, path: str, length: int) -> bool:
        """Return whether a channel may send a message of that length, before it is read.

        Args:
            path: of the request.
            length: in bytes; of an agent that has not proven yet who it is, a small one.
        """
        with self._lock:
            is_small = length <= _MAX_FIRST_BYTES
            return path in self._channels or (path in self._unproven and is_small)

    def answer_request(self, path: str, sealed: bytes) -> bytes | None:
        """Answer a sealed request; None where there is no such channel.

        Raises:
            ForgedMessageError: it is not by the agent of the channel, or was here before.
            ValueError, KeyError, TypeError: it is no message of an agent.
        """
        with self._lock:
            channel = self._channels.get(path) or self._unproven.get(path)
            if channel is None:
                return None
            number, content = channel.open_request(sealed)
            self._unproven.pop(path, None)
            self._channels[path] = channel
        answer = self.handle_message(json.loads(content))
        return channel.seal_answer(number, json.dumps(answer).encode())

    def handle_message(self, message: dict[str, Any]) -> dict[str, Any]:
        """Take in one agent's message, and return the answer.

        Args:
            message: `name`, `host` and `order` of the agent, `first` in its first message, and the
                changes of its rank's status.
        """
        check_message(message)
        name = message["name"]
        with self._lock:
            worker = self._workers.get(name)
            if worker is None and self._outcome is None:
                if not message.get("first"):
                    return {"over": {"why": _REPLACED}}
                worker = RemoteWorker(name, message["host"], message["order"], self._clock)
                self._workers[name] = worker
        first = bool(message.get("first"))
        if worker is None:
            return {"over": self._outcome}
        for progress in message.pop("progress", []):
            self._report(Progress(**progress))
        answer = worker.update_status(message)
        if first:
            answer["task"] = self._task.to_json()
        interval = choose_report_interval(len(self._workers))
        return {**answer, "interval": interval, "over": self._outcome}


def choose_report_interval(agents: int) -> float:
    """Choose the seconds after which an agent posts its status again, if nothing urgent happens."""
    return min(max(agents / _MESSAGES_PER_SECOND, _SHORTEST_INTERVAL), _LONGEST_INTERVAL)


def _build_handler_class(server: ControlServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # an agent keeps its connection
        wbufsize = -1  # an answer is one packet
        timeout = 30

        def do_POST(self) -> None:
            path = self.path.strip("/")
            limit = _MAX_JOIN_BYTES if path == "join" else _MAX_MESSAGE_BYTES
            length = _parse_length(self.headers.get("Content-Length"))
            if length is None or length > limit:
                self._refuse(413, f"no length, or more than {limit} bytes")
                return
            if path != "join" and not server.has_channel(path, length):
                self._refuse(404, "there is no such channel")
                return
            body = self.rfile.read(length)
            try:
                if path == "join":
                    nonce = bytes.fromhex(json.loads(body)["nonce"])
                    if len(nonce) != NONCE_BYTES:
                        raise ValueError("a nonce of another length")
                    self._send(200, server.open_channel(nonce))
                elif (answer := server.answer_request(path, body)) is None:
                    self._send(404, {"error": "there is no such channel"})
                else:
                    self._send(200, answer)
            except ForgedMessageError:
                self._send(403, {"error": "its secret is not that of this run"})
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                self._send(400, {"error": repr(error)})

        def _refuse(self, status: int, reason: str) -> None:
            """Answer a request whose body is not read; what follows on the connection is it."""
            self.close_connection = True
            self._send(status, {"error": reason})

        def _send(self, status: int, body: dict[str, Any] | bytes) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(content)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


def _parse_length(text: str | None) -> int | None:
    """Return a request's length; None where it says none, or no number of bytes."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None
