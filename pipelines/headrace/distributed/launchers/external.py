"""Take part in a run whose processes an external launcher started, one per rank.

torchrun, mpirun or a Kubernetes operator starts this program as often as there are ranks. Rank 0's
process hosts the control server and supervises; the other processes connect to it and each run one
rank. Which rank a process is stands in the environment variables of these launchers.
"""

import contextlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.distributed.supervise.agent import AgentConnection, run_agent
from headrace.distributed.supervise.control_server import ControlServer
from headrace.distributed.task import RankTask
from headrace.errors import MachineError, PreemptedError, RankError
from headrace.progress import Report
from headrace.signals import record_termination

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


def run_external_rank(external_rank: ExternalRank, connect_timeout: float) -> None:
    """Run one rank here as rank 0's process directs, until the run is over.

    Args:
        external_rank: of this process.
        connect_timeout: seconds to wait for rank 0's process to listen.

    Raises:
        PreemptedError: this process received SIGTERM, and the ranks wrote a checkpoint.
        RankError: the run failed.
    """
    was_terminated = record_termination()
    secret = os.environ.get("HEADRACE_SECRET", "")
    connection = AgentConnection(
        external_rank.address, external_rank.port, secret, external_rank.rank, connect_timeout
    )
    failure = run_agent(connection, was_terminated)
    if failure is not None:
        raise PreemptedError(failure) if was_terminated() else RankError(failure)


class ExternalLauncher(ControlServer):
    """The launcher in rank 0's process: the control server, and an agent for rank 0 itself."""

    def __init__(self, task: RankTask, report: Report) -> None:
        """
        Args:
            task, report: see `control_server.ControlServer`.

        Raises:
            RankError: this process was not started as one of several.
        """
        external_rank = find_external_rank(os.environ)
        if external_rank is None:
            raise RankError(
                "train.launcher.kind is launched, and neither RANK and WORLD_SIZE nor Open MPI's "
                "or PMI's variables say which rank this is; start it with torchrun or mpirun, or "
                "set train.launcher.kind to local"
            )
        secret = os.environ.get("HEADRACE_SECRET", "")
        super().__init__(external_rank.address, external_rank.port, secret, task, report)
        connection = AgentConnection(self.address, self.port, secret, 0)
        self._agent = threading.Thread(target=_run_own_agent, args=(connection,), daemon=True)
        self._agent.start()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        self._agent.join(timeout=10)


def _run_own_agent(connection: AgentConnection) -> None:
    with contextlib.suppress(RankError):  # the supervisor in this process reports the failure
        run_agent(connection)
