"""A proxy before a real server that fails for a while, where and how a test says."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Fault:
    """What goes wrong, from the first request that fits on, for so many seconds.

    Attributes:
        how: `reset` closes the connection, `lost` does so after the server has done its work,
            `hang` answers late; a number is the status of the answer.
        where: part of the method and the path, such as `POST /api/2.0/mlflow/runs/log-batch`.
        seconds: of the outage; of `hang` the delay of each answer.
        hits: how many requests it met.
    """

    how: str
    where: str
    seconds: float
    hits: int = 0
    began: float = field(default=0.0)

    def meets(self, request: str) -> bool:
        """Return whether a request meets the fault now."""
        if self.where not in request:
            return False
        self.began = self.began or time.monotonic()
        is_met = time.monotonic() - self.began < self.seconds
        self.hits += is_met
        return is_met


@contextmanager
def faulty_proxy(address: str, fault: Fault) -> Iterator[str]:
    """Start a proxy of a server on loopback; yields its address."""
    target = urlsplit(address)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if fault.meets(f"{self.command} {self.path}"):
                if fault.how.isdigit():
                    self.reply(int(fault.how), b"no", "text/plain")
                    return
                if fault.how == "lost":
                    self.forward(body)
                if fault.how == "hang":
                    time.sleep(fault.seconds)
                self.close_connection = True
                self.connection.close()
                return
            self.reply(*self.forward(body))

        def forward(self, body: bytes) -> tuple[int, bytes, str]:
            upstream = http.client.HTTPConnection(str(target.hostname), target.port, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
            try:
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                return answer.status, answer.read(), answer.headers.get("Content-Type", "")
            except OSError:
                return 502, b"the server is not there", "text/plain"
            finally:
                upstream.close()

        def reply(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", kind)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    for verb in ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"):
        setattr(Handler, f"do_{verb}", Handler.answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
