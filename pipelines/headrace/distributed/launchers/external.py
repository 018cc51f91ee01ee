"""A run whose processes somebody else started, one a rank: rank 0's leads, the others follow."""

import contextlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.distributed.supervise.agent import BoardAddress, run_agent
from headrace.distributed.supervise.control_server import Board
from headrace.distributed.task import RankTask
from headrace.errors import MachineError, PreemptedError, RankError
from headrace.progress import Report
from headrace.signals import note_sigterm

_PORT = 29461
# Rank, size and size on this host, as different programs tell them to the processes they start.
_VARIABLES = (
    ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),  # torchrun, and PyTorchJob
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"),  # MPICH and Intel MPI
)


def follow(launched: "LaunchedRank", patience: float) -> None:
    """Run one rank, of what rank 0's process says.

    Args:
        launched: of this process.
        patience: seconds that rank 0 may take to be there.

    Raises:
        PreemptedError: this process was told to end, and the ranks left a checkpoint.
        RankError: the run failed.
    """
    was_terminated = note_sigterm()
    secret = os.environ.get("HEADRACE_SECRET", "")
    board = BoardAddress(launched.address, launched.port, secret, launched.rank, patience)
    why = run_agent(board, was_terminated)
    if why is not None:
        raise PreemptedError(why) if was_terminated() else RankError(why)


class LeadingSource(Board):
    """In rank 0's process: the board, and an agent for the rank that this process is."""

    def __init__(self, task: RankTask, report: Report) -> None:
        """
        Args:
            task, report: see `board.Board`.

        Raises:
            RankError: nobody started this process as one of several.
        """
        launched = launched_rank(os.environ)
        if launched is None:
            raise RankError(
                "train.launcher.kind is launched, and neither RANK and WORLD_SIZE nor Open MPI's "
                "or PMI's variables say which rank this is"
            )
        secret = os.environ.get("HEADRACE_SECRET", "")
        super().__init__(launched.address, launched.port, secret, task, report)
        board = BoardAddress(self.address, self.port, secret, 0)
        self._agent = threading.Thread(target=_quietly, args=(board,), daemon=True)
        self._agent.start()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        self._agent.join(timeout=10)


def _quietly(board: BoardAddress) -> None:
    with contextlib.suppress(RankError):  # the supervisor beside it says what it is
        run_agent(board)


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
