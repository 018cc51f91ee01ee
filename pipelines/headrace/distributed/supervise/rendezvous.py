"""Run one Horovod rendezvous server per generation of ranks, where they exchange addresses."""

import threading
from collections.abc import Sequence
from typing import Any

from horovod.runner.common.util.hosts import SlotInfo
from horovod.runner.http.http_server import RendezvousHandler, RendezvousHTTPServer

from headrace.distributed.slot import Slot, assign_slots


class RendezvousServer:
    """The rendezvous server of one generation, on one address of this machine.

    Horovod's protocol has no password.

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
        self._server = RendezvousHTTPServer((address, 0), RendezvousHandler, 0)
        port = self._server.server_address[1]
        self.slots = assign_slots(
            hosts, generation=generation, address=address, port=port, facts=facts
        )
        self._server.init([_build_slot_info(slot) for slot in self.slots])
        thread = threading.Thread(
            target=self._server.serve_forever, name="headrace-rendezvous", daemon=True
        )
        thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


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
