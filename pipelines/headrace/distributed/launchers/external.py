"""Take part in a run whose processes an external launcher started, one per rank.

torchrun, mpirun or a Kubernetes operator starts this program as often as there are ranks. Rank 0's
process hosts the control server and supervises; the other processes connect to it and each run one
rank. Which rank a process is, `external_rank.py` reads from the launcher's variables.
"""

import contextlib
import os
import threading
from typing import Any

from headrace.distributed.launchers.external_rank import ExternalRank, find_external_rank
from headrace.distributed.supervise.agent import AgentConnection, run_agent
from headrace.distributed.supervise.control_server import ControlServer
from headrace.distributed.task import RankTask
from headrace.errors import PreemptedError, RankError
from headrace.progress import Report
from headrace.signals import record_termination


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
