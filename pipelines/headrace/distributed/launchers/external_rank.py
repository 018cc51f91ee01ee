"""Read which rank of how many an external launcher started this process as.

A module of its own because every command asks, and what `external.py` starts needs packages that
only those who train have installed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.errors import MachineError

_DEFAULT_PORT = 29461
# Rank, size and size on this host, as each launcher passes them to the processes it starts.
_RANK_VARIABLES = (
    ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),  # torchrun, and PyTorchJob
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"),  # MPICH and Intel MPI
)


@dataclass(frozen=True)
class ExternalRank:
    """The rank that an external launcher gave this process.

    Attributes:
        rank, size: number of this rank, and of all ranks.
        address, port: where rank 0 listens for the others.
    """

    rank: int
    size: int
    address: str
    port: int


def find_external_rank(environment: Mapping[str, str]) -> ExternalRank | None:
    """Return the rank that this process was started as; None if it was started alone.

    Raises:
        MachineError: the ranks are on several hosts, and nothing says where rank 0 is.
    """
    for rank, size, local_size in _RANK_VARIABLES:
        if rank in environment and int(environment.get(size, "1")) > 1:
            address = environment.get("MASTER_ADDR")
            if not address and environment.get(local_size) != environment[size]:
                raise MachineError(
                    f"{rank} says that this is one of {environment[size]} processes on several "
                    "hosts, and MASTER_ADDR does not say which host rank 0 is on; set MASTER_ADDR "
                    f"(and MASTER_PORT, default {_DEFAULT_PORT}) for all of them"
                )
            return ExternalRank(
                int(environment[rank]),
                int(environment[size]),
                address or "127.0.0.1",
                int(environment.get("MASTER_PORT") or _DEFAULT_PORT),
            )
    return None
