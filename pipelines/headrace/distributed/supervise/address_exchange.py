"""Let the ranks of a generation exchange words, such as their addresses: a small HTTP server.

`POST /SECRET/TOPIC/RANK` with a rank's word answers a JSON list of the words of all ranks on that
topic, null for those that have not said theirs. Whoever forged an address there would be taken for
a rank, so only requests whose path begins with a random word are answered, which the ranks are told
with their slots. A word of a rank that was said stays as it is.
"""

import hmac
import json
import re
import secrets
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

from headrace.distributed.slot import assign_slots
from headrace.distributed.supervise.many_clients import ManyClientsServer

_MAX_WORD_BYTES = 200
_PATH = re.compile(r"/([0-9a-f]{32})/([a-z]{1,20})/([0-9]{1,6})", re.ASCII)
_MAX_TOPICS = 8


class AddressExchange:
    """The server of one generation; see `rendezvous.Rendezvous`."""

    def __init__(
        self, address: str, hosts: Sequence[str], generation: int, facts: dict[str, Any]
    ) -> None:
        """
        Args:
            address, hosts, generation, facts: see `rendezvous.open_rendezvous`.
        """
        secret = secrets.token_hex(16)
        self._words: dict[str, list[str | None]] = {}
        self._lock = threading.Lock()
        self._size = len(hosts)
        self._server = ManyClientsServer((address, 0), _build_handler_class(self, secret))
        self.slots = assign_slots(
            hosts,
            generation=generation,
            address=address,
            port=self._server.server_address[1],
            facts=facts,
            secret=secret,
        )
        thread = threading.Thread(
            target=self._server.serve_forever, name="headrace-rendezvous", daemon=True
        )
        thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def say_word(self, topic: str, rank: int, word: str) -> list[str | None]:
        """Record a rank's word on a topic, and return those of all ranks so far.

        Raises:
            ValueError: there is no such rank, or there are too many topics.
        """
        with self._lock:
            if rank >= self._size or (topic not in self._words and len(self._words) >= _MAX_TOPICS):
                raise ValueError(f"no rank {rank}, or more than {_MAX_TOPICS} topics")
            words = self._words.setdefault(topic, [None] * self._size)
            words[rank] = words[rank] or word
            return list(words)


def _build_handler_class(exchange: AddressExchange, secret: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_POST(self) -> None:
            path = _PATH.fullmatch(self.path)
            if path is None or not hmac.compare_digest(path[1], secret):
                self._send(403, b"")
                return
            length = self.headers.get("Content-Length", "")
            if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > _MAX_WORD_BYTES:
                self._send(413, b"")
                return
            try:
                word = self.rfile.read(int(length)).decode("ascii")
                words = exchange.say_word(path[2], int(path[3]), word)
            except ValueError:
                self._send(400, b"")
                return
            self._send(200, json.dumps(words).encode())

        def _send(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler
