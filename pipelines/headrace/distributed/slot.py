"""Where a rank stands among the others, and how it reaches them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Place:
    """Of one rank in one generation: the time for which the same ranks work together.

    Attributes:
        generation: from 0; above it only in elastic runs.
        rank, size, local_rank, local_size, cross_rank, cross_size: Horovod's.
        host: the rank's, as Horovod names it.
        address, port: of the rendezvous server; every generation has its own.
        facts: what ranks of earlier generations wanted remembered.
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

    def environment(self) -> dict[str, str]:
        """What Horovod reads when it begins."""
        return {
            "HOROVOD_HOSTNAME": self.host,
            "HOROVOD_RANK": str(self.rank),
            "HOROVOD_SIZE": str(self.size),
            "HOROVOD_LOCAL_RANK": str(self.local_rank),
            "HOROVOD_LOCAL_SIZE": str(self.local_size),
            "HOROVOD_CROSS_RANK": str(self.cross_rank),
            "HOROVOD_CROSS_SIZE": str(self.cross_size),
            "HOROVOD_GLOO_RENDEZVOUS_ADDR": self.address,
            "HOROVOD_GLOO_RENDEZVOUS_PORT": str(self.port),
            "HOROVOD_CONTROLLER": "gloo",
            "HOROVOD_CPU_OPERATIONS": "gloo",
        }

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def places(
    hosts: Sequence[str],
    *,
    generation: int = 0,
    address: str,
    port: int,
    facts: dict[str, Any] | None = None,
) -> list[Place]:
    """The places of ranks 0, 1, …, of which each is on its host.

    A local rank is the number of ranks before it on its host; a cross rank the number of hosts
    before its own that have as many ranks.
    """
    local_size = Counter(hosts)
    in_order = list(dict.fromkeys(hosts))
    seen: Counter[str] = Counter()
    found = []
    for rank, host in enumerate(hosts):
        local_rank = seen[host]
        seen[host] += 1
        across = [name for name in in_order if local_size[name] > local_rank]
        found.append(
            Place(
                generation=generation,
                rank=rank,
                size=len(hosts),
                local_rank=local_rank,
                local_size=local_size[host],
                cross_rank=across.index(host),
                cross_size=len(across),
                host=host,
                address=address,
                port=port,
                facts=dict(facts or {}),
            )
        )
    return found
