"""Many agents at one supervisor, with the sockets, channels and threads of a run on loopback."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from benchmarks.agents import InProcessRank, measure_agents
from headrace.distributed.supervise import agent as agent_module
from headrace.distributed.supervise.agent import AgentConnection, run_agent
from headrace.distributed.supervise.control_server import ControlServer, choose_report_interval
from headrace.distributed.supervise.supervisor import Supervisor
from headrace.distributed.task import RankTask
from headrace.progress import ignore_progress

pytestmark = pytest.mark.usefixtures("quick_servers")
TASK = RankTask(
    "headrace.a:b", {"last_generation": 0, "seconds": 0.5}, collectives="tensorflow"
)  # fmt: skip


class CountingServer(ControlServer):
    """A control server that counts connections and messages."""

    connections = messages = 0

    def count_connections(self) -> None:
        process_request = self._server.process_request

        def count(*arguments: object) -> None:
            self.connections += 1
            process_request(*arguments)

        self._server.process_request = count  # type: ignore[method-assign]

    def handle_message(self, message: dict) -> dict:
        self.messages += 1
        return super().handle_message(message)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingServer]:
    monkeypatch.setattr(agent_module, "LocalWorker", InProcessRank)
    with CountingServer("127.0.0.1", 0, "word", TASK, ignore_progress) as server:
        server.count_connections()
        yield server


@pytest.mark.parametrize("ranks", [4, 32])
def test_an_agent_has_one_connection_however_many_messages_it_sends(
    server: CountingServer, ranks: int
) -> None:
    outcomes: list[str | None] = []

    def run(order: int) -> None:
        outcomes.append(run_agent(AgentConnection("127.0.0.1", server.port, "word", order)))

    threads = [threading.Thread(target=run, args=(order,)) for order in range(ranks)]
    for thread in threads:
        thread.start()
    result = Supervisor(TASK, server, ignore_progress, 60).run(ranks)
    server.__exit__(None, None, None)
    for thread in threads:
        thread.join(timeout=30)
    assert result == {"rank": 0}
    assert outcomes == [None] * ranks
    assert server.connections == ranks
    assert server.messages >= 4 * ranks  # joined, got a slot, ended, said good-bye


def test_an_agent_whose_connection_breaks_opens_another(server: CountingServer) -> None:
    outcomes: list[str | None] = []

    def run() -> None:
        outcomes.append(run_agent(AgentConnection("127.0.0.1", server.port, "word", 0)))

    def break_connections() -> None:
        while len(server.list_workers()) < 1:
            time.sleep(0.01)
        for connection in list(server._server._connections):
            connection.shutdown(socket.SHUT_RDWR)

    threads = [threading.Thread(target=run), threading.Thread(target=break_connections)]
    for thread in threads:
        thread.start()
    result = Supervisor(TASK, server, ignore_progress, 60).run(1)
    server.__exit__(None, None, None)
    for thread in threads:
        thread.join(timeout=30)
    assert result == {"rank": 0}
    assert outcomes == [None]
    assert server.connections == 2


@pytest.mark.parametrize(
    ("agents", "seconds"), [(0, 0.1), (10, 0.1), (40, 0.1), (100, 0.25), (1000, 2.5), (4000, 2.5)]
)
def test_agents_report_more_rarely_the_more_there_are(agents: int, seconds: float) -> None:
    assert choose_report_interval(agents) == seconds


def test_an_agent_that_is_silent_counts_as_lost_after_many_intervals() -> None:
    from headrace.distributed.supervise.remote_worker import _SILENCE_SECONDS

    assert choose_report_interval(10**6) * 5 < _SILENCE_SECONDS


@pytest.mark.long
def test_512_agents_join_change_their_generation_and_end() -> None:
    figures = measure_agents(512, seconds=3)
    assert figures["outcome"] == "finished"
    assert figures["reports"] == ["going on with 512 ranks instead of 511"]
    assert (figures["failed_agents"], figures["failures"]) == (0, [])
    assert figures["connections"] == 512
