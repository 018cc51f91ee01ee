"""Ranks that an external launcher started: how a run begins and ends."""

from collections.abc import Callable

import pytest

from headrace.distributed.launchers import external, external_rank
from headrace.distributed.launchers.external import ExternalLauncher, run_external_rank
from headrace.distributed.launchers.external_rank import ExternalRank
from headrace.distributed.supervise.agent import AgentConnection
from headrace.distributed.task import RankTask
from headrace.errors import PreemptedError, RankError
from headrace.progress import Progress


@pytest.mark.parametrize(
    ("failure", "terminated", "expected"),
    [
        (None, False, None),
        (None, True, None),
        ("rank 1 of 2 died", False, RankError),
        ("a checkpoint was written", True, PreemptedError),
    ],
)
def test_how_an_external_rank_ends(
    failure: str | None,
    terminated: bool,
    expected: type[Exception] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run_agent(connection: AgentConnection, should_end: Callable[[], bool]) -> str | None:
        assert connection == AgentConnection("n0", 5, "word", 3, 60.0)
        assert should_end() == terminated
        return failure

    monkeypatch.setenv("HEADRACE_SECRET", "word")
    monkeypatch.setattr(external, "run_agent", run_agent)
    monkeypatch.setattr(external, "record_termination", lambda: lambda: terminated)
    rank = ExternalRank(3, 4, "n0", 5)
    if expected is None:
        run_external_rank(rank, connect_timeout=60.0)
    else:
        with pytest.raises(expected, match=failure):
            run_external_rank(rank, connect_timeout=60.0)


def test_the_leader_has_to_be_started_as_a_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RankError, match="neither RANK and WORLD_SIZE nor Open MPI's"):
        ExternalLauncher(RankTask("a:b", {}), print)


@pytest.mark.usefixtures("quick_servers")
def test_the_leader_runs_an_agent_for_rank_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of that agent is left to the supervisor, which knows of it too."""
    connections = []

    def run_agent(connection: AgentConnection) -> str | None:
        connections.append(connection)
        raise RankError("its rank died")

    monkeypatch.setattr(external_rank, "_DEFAULT_PORT", 0)
    monkeypatch.setattr(external, "run_agent", run_agent)
    monkeypatch.setenv("HEADRACE_SECRET", "word")
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    reports: list[Progress] = []
    with ExternalLauncher(RankTask("a:b", {}), reports.append) as launcher:
        port = launcher.port
    assert connections == [AgentConnection("127.0.0.1", port, "word", 0)]
