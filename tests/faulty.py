"""A gate on loopback in front of a server, which can fail as networks and object stores do."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_REFUSAL = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\nRetry-After: 0\r\n\r\n"
)


class Gate:
    """Passes connections on, or does not.

    Attributes:
        address: where it listens.
        failing: None, `503`, `drop` (connections are closed at once), `cut` (closed in the middle
            of an answer) or `silent` (accepted, and no answer comes).
        failed: connections that were failed.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.failing: str | None = None
        self.failed = 0
        self._open = True
        self._until = 0.0
        threading.Thread(target=self._serve, name="gate", daemon=True).start()

    def fail(self, how: str, seconds: float) -> None:
        """From now on, for so long."""
        self._until = time.monotonic() + seconds
        self.failing = how

    def close(self) -> None:
        self._open = False
        self._server.close()

    def _now(self) -> str | None:
        if self.failing and time.monotonic() > self._until:
            self.failing = None
        return self.failing

    def _serve(self) -> None:
        while self._open:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client:
            how = self._now()
            if how:
                self.failed += 1
            if how == "drop":
                return
            if how == "silent":
                while self._now() == "silent":
                    time.sleep(0.05)
                return
            if how == "503":
                with suppress(OSError):
                    client.recv(65536)
                    client.sendall(_REFUSAL)
                return
            with socket.create_connection(self._target) as server:
                answer = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                answer.start()
                self._pump(client, server)
                answer.join()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        """Pass bytes on; a connection that is kept alive fails as a new one would."""
        with suppress(OSError):
            while data := source.recv(65536):
                how = self._now()
                if how == "cut" and len(data) > 2000:
                    self.failed += 1
                    sink.sendall(data[:1000])
                    break
                if how in ("drop", "503"):
                    self.failed += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def gate(target: str) -> Iterator[Gate]:
    made = Gate(target)
    try:
        yield made
    finally:
        made.close()
