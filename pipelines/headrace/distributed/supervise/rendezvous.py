"""Open the place where the ranks of a generation exchange addresses, and number the ranks.

Which one it is follows from the kind of their collectives. A single rank has nobody to meet, and
needs neither a server nor Horovod.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from headrace.distributed.slot import Slot, assign_slots


class Rendezvous(Protocol):
    """The rendezvous of one generation.

    Attributes:
        slots: of the ranks that are to meet here, by rank.
    """

    slots: list[Slot]

    def close(self) -> None:
        """Stop to listen."""


class SoloRendezvous:
    """The slot of a rank that is alone."""

    def __init__(
        self, address: str, hosts: Sequence[str], generation: int, facts: dict[str, Any]
    ) -> None:
        self.slots = assign_slots(
            hosts, generation=generation, address=address, port=0, facts=facts
        )

    def close(self) -> None:
        pass


def open_rendezvous(
    collectives: str, address: str, hosts: Sequence[str], generation: int, facts: dict[str, Any]
) -> Rendezvous:
    """Open the rendezvous of one generation of ranks.

    Args:
        collectives: kind of the ranks' collectives, see `task.RankTask`.
        address: to listen on, which the ranks reach.
        hosts: host name of each rank, by rank.
        generation, facts: of the slots.
    """
    if len(hosts) == 1:
        return SoloRendezvous(address, hosts, generation, facts)
    if collectives == "tensorflow":
        from headrace.distributed.supervise.address_exchange import AddressExchange

        return AddressExchange(address, hosts, generation, facts)
    # Here, and not above: whoever has no need of Horovod need not have it.
    from headrace.distributed.supervise.horovod_rendezvous import HorovodRendezvous

    return HorovodRendezvous(address, hosts, generation, facts)
