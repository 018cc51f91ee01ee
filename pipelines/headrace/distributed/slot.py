"""Number the ranks of a run, and tell Horovod where each of them is.

Local and cross ranks follow from the list of hosts alone; nothing here starts or contacts a rank.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Slot:
    """A rank's slot in one generation, which is the time for which the same ranks work together.

    Attributes:
        generation: number of the generation, from 0; above 0 only in elastic runs.
        rank, size, local_rank, local_size, cross_rank, cross_size: as Horovod defines them.
        host: name of the rank's host, as Horovod knows it.
        address, port: where the rendezvous server listens; every generation has its own.
        facts: what ranks of earlier generations saved for this one.
        secret: word that the rendezvous server wants in every path; "" where it wants none.
    """

    generation: int
    rank: int
    size: int
    local_rank: int
    local_size: int
    cross_rank: int
    cross_size: int
    host: str
    address: str
    port: int
    facts: dict[str, Any] = field(default_factory=dict)
    secret: str = ""

    @property
    def rendezvous_address(self) -> str:
        """Return the address as Horovod takes it, which puts `:port` and the key's path after it.

        Horovod sends no header and no password, but what stands behind the first `/` of the URL is
        the path: so the secret is in it.
        """
        return f"{self.address}:{self.port}/{self.secret}" if self.secret else self.address

    def to_environment(self) -> dict[str, str]:
        """Return the environment variables that Horovod reads when it is initialised."""
        return {
            "HOROVOD_HOSTNAME": self.host,
            "HOROVOD_RANK": str(self.rank),
            "HOROVOD_SIZE": str(self.size),
            "HOROVOD_LOCAL_RANK": str(self.local_rank),
            "HOROVOD_LOCAL_SIZE": str(self.local_size),
            "HOROVOD_CROSS_RANK": str(self.cross_rank),
            "HOROVOD_CROSS_SIZE": str(self.cross_size),
            "HOROVOD_GLOO_RENDEZVOUS_ADDR": self.rendezvous_address,
            "HOROVOD_GLOO_RENDEZVOUS_PORT": str(self.port),
            "HOROVOD_CONTROLLER": "gloo",
            "HOROVOD_CPU_OPERATIONS": "gloo",
        }

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def assign_slots(
    hosts: Sequence[str],
    *,
    generation: int = 0,
    address: str,
    port: int,
    facts: dict[str, Any] | None = None,
    secret: str = "",
) -> list[Slot]:
    """Return the slots of ranks 0, 1, …, one for each entry of `hosts`.

    A local rank is the number of lower ranks on the same host. A cross rank is the number of hosts
    that are listed before this one and have a rank of the same local rank.

    Args:
        hosts: host name of each rank, by rank.
        generation: number of the generation.
        address, port: where the rendezvous server listens.
        facts: what earlier generations saved.
        secret: of the rendezvous server.
    """
    local_size = Counter(hosts)
    distinct_hosts = list(dict.fromkeys(hosts))
    ranks_per_host: Counter[str] = Counter()
    # By local rank: how many hosts have one, and the position of each of them among these.
    cross_size = [
        sum(size > local_rank for size in local_size.values())
        for local_rank in range(max(local_size.values(), default=0))
    ]
    cross_rank = {
        (host, local_rank): number
        for local_rank in range(len(cross_size))
        for number, host in enumerate(h for h in distinct_hosts if local_size[h] > local_rank)
    }
    slots = []
    for rank, host in enumerate(hosts):
        local_rank = ranks_per_host[host]
        ranks_per_host[host] += 1
        slots.append(
            Slot(
                generation=generation,
                rank=rank,
                size=len(hosts),
                local_rank=local_rank,
                local_size=local_size[host],
                cross_rank=cross_rank[host, local_rank],
                cross_size=cross_size[local_rank],
                host=host,
                address=address,
                port=port,
                facts=dict(facts or {}),
                secret=secret,
            )
        )
    return slots
