"""Listen for clients of which hundreds may connect at once, each for as long as a run takes.

The standard library's HTTP server has a queue of five connections that are not accepted yet; where
it is full, a client waits for seconds, or gives up. What is answered is left to the handlers.
"""

import contextlib
import socket
import threading
from http.server import ThreadingHTTPServer
from typing import Any

# Connections that the kernel keeps until they are accepted; it takes `net.core.somaxconn` (4,096)
# where that is less.
LISTEN_BACKLOG = 2048


class ManyClientsServer(ThreadingHTTPServer):
    """An HTTP server with a thread for each connection, all of which `server_close` ends."""

    request_queue_size = LISTEN_BACKLOG
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Stop to listen, and end the connections of clients that keep theirs open."""
        super().server_close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):  # the client was faster
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print no stack where a client is gone or sends what is no request."""
