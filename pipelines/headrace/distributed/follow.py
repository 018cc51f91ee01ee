"""A run whose processes somebody else started, one a rank: rank 0's leads, the others follow."""

import contextlib
import os
import signal
import threading
from typing import Any

from headrace.distributed.agent import BoardAddress, run_agent
from headrace.distributed.board import Board
from headrace.distributed.launched import LaunchedRank, launched_rank
from headrace.distributed.task import RankTask
from headrace.errors import PreemptedError, RankError
from headrace.progress import Report


def follow(launched: LaunchedRank, patience: float) -> None:
    """Run one rank, of what rank 0's process says.

    Args:
        launched: of this process.
        patience: seconds that rank 0 may take to be there.

    Raises:
        PreemptedError: this process was told to end, and the ranks left a checkpoint.
        RankError: the run failed.
    """
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    secret = os.environ.get("HEADRACE_SECRET", "")
    board = BoardAddress(launched.address, launched.port, secret, launched.rank, patience)
    why = run_agent(board, lambda: bool(told))
    if why is not None:
        raise PreemptedError(why) if told else RankError(why)


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
