"""Run one Horovod rendezvous server per generation of ranks, where they exchange addresses.

Whoever forged an address there would be taken for a rank, so only requests whose path begins with a
random word are answered, which the ranks are told with their slots.
"""

import hmac
import re
import secrets
import threading
from collections.abc import Sequence
from typing import Any

from horovod.runner.common.util.hosts import SlotInfo
from horovod.runner.http.http_server import RendezvousHandler, RendezvousHTTPServer

from headrace.distributed.slot import Slot, assign_slots
from headrace.distributed.supervise.many_clients import LISTEN_BACKLOG

_MAX_VALUE_BYTES = 2**20


class HorovodRendezvous:
    """Horovod's rendezvous server for one generation, on one address of this machine.

    Attributes:
        slots: of the ranks that are to meet here, by rank.
    """

    def __init__(
        self, address: str, hosts: Sequence[str], generation: int, facts: dict[str, Any]
    ) -> None:
        """
        Args:
            address: to listen on, which the ranks reach.
            hosts: host name of each rank, by rank.
            generation, facts: of the slots.
        """
        secret = secrets.token_hex(16)
        handler = type("Handler", (_GuardedHandler,), {"secret": secret})
        self._server = _QuietServer((address, 0), handler, 0)
        port = self._server.server_address[1]
        self.slots = assign_slots(
            hosts, generation=generation, address=address, port=port, facts=facts, secret=secret
        )
        self._server.init([_build_slot_info(slot) for slot in self.slots])
        thread = threading.Thread(
            target=self._server.serve_forever, name="headrace-rendezvous", daemon=True
        )
        thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _QuietServer(RendezvousHTTPServer):
    request_queue_size = LISTEN_BACKLOG

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print no stack where a client is gone or sends what is no request."""


class _GuardedHandler(RendezvousHandler):
    """Horovod's handler for those who know the secret: see `Slot.rendezvous_address`."""

    secret: str
    path: str

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        first, _, rest = self.path.lstrip("/").partition("/")
        if not hmac.compare_digest(first.partition(":")[0].encode(), self.secret.encode()):
            self.send_status_code(403)
            return False
        length = self.headers.get("Content-Length", "0")
        if not (re.fullmatch(r"[0-9]{1,9}", length) and int(length) <= _MAX_VALUE_BYTES):
            self.send_status_code(413)
            return False
        if rest.count("/") != 1:
            self.send_status_code(400)
            return False
        self.path = f"/{rest}"
        return True


def _build_slot_info(slot: Slot) -> SlotInfo:
    return SlotInfo(
        hostname=slot.host,
        rank=slot.rank,
        size=slot.size,
        local_rank=slot.local_rank,
        local_size=slot.local_size,
        cross_rank=slot.cross_rank,
        cross_size=slot.cross_size,
    )
