"""Ranks that somebody else started: torchrun, mpirun (an MPIJob), or a loop of one's own."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.errors import MachineError

_PORT = 29461
# Rank, size and size on this host, as different programs tell them to the processes they start.
_VARIABLES = (
    ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),  # torchrun, and PyTorchJob
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"),  # MPICH and Intel MPI
)


@dataclass(frozen=True)
class LaunchedRank:
    """What the environment says of this process.

    Attributes:
        rank, size: of it, and of all.
        address, port: where rank 0 listens for the others.
    """

    rank: int
    size: int
    address: str
    port: int


def launched_rank(environment: Mapping[str, str]) -> LaunchedRank | None:
    """The rank that this process was started as; None where it is alone.

    Raises:
        MachineError: it is one of several hosts', and nothing says where rank 0 is.
    """
    for rank, size, local_size in _VARIABLES:
        if rank in environment and int(environment.get(size, "1")) > 1:
            address = environment.get("MASTER_ADDR")
            if not address and environment.get(local_size) != environment[size]:
                raise MachineError(
                    f"{rank} says that this is one of {environment[size]} processes on several "
                    "hosts, and MASTER_ADDR does not say which host rank 0 is on; set MASTER_ADDR "
                    f"(and MASTER_PORT, else {_PORT}) for all of them"
                )
            return LaunchedRank(
                int(environment[rank]),
                int(environment[size]),
                address or "127.0.0.1",
                int(environment.get("MASTER_PORT") or _PORT),
            )
    return None
