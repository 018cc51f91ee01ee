"""Horovod's rendezvous: where the ranks of a generation tell each other their addresses."""

import threading
from collections.abc import Sequence
from typing import Any

from horovod.runner.common.util.hosts import SlotInfo
from horovod.runner.http.http_server import RendezvousHandler, RendezvousHTTPServer

from headrace.distributed.slot import Place, places


class Rendezvous:
    """A server on one address of this machine. Horovod's protocol knows no password."""

    def __init__(
        self, address: str, hosts: Sequence[str], generation: int, facts: dict[str, Any]
    ) -> None:
        """
        Args:
            address: to listen on, which the ranks reach.
            hosts: of each rank.
            generation, facts: of the places.
        """
        self._server = RendezvousHTTPServer((address, 0), RendezvousHandler, 0)
        port = self._server.server_address[1]
        self.places = places(hosts, generation=generation, address=address, port=port, facts=facts)
        self._server.init([_slot(place) for place in self.places])
        thread = threading.Thread(
            target=self._server.serve_forever, name="headrace-rendezvous", daemon=True
        )
        thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _slot(place: Place) -> SlotInfo:
    return SlotInfo(
        hostname=place.host,
        rank=place.rank,
        size=place.size,
        local_rank=place.local_rank,
        local_size=place.local_size,
        cross_rank=place.cross_rank,
        cross_size=place.cross_size,
    )
