"""The control server: what agents post, what they get, and who is refused."""

import base64
import http.client
import itertools
import json
import socket
from collections.abc import Iterator

import pytest

from headrace.distributed.supervise.agent import AgentConnection, run_agent
from headrace.distributed.supervise.control_server import ControlServer
from headrace.distributed.supervise.sealed_channel import AgentChannel, make_nonce
from headrace.distributed.task import RankTask
from headrace.errors import RankError
from headrace.progress import Progress
from tests.distributed.fakes import FakeClock

pytestmark = pytest.mark.usefixtures("quick_servers")
TASK = RankTask("a:b", {"key": "value"})
FIRST = {"name": "agent", "host": "h1", "order": 0, "first": True}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reports() -> list[Progress]:
    return []


@pytest.fixture
def server(clock: FakeClock, reports: list[Progress]) -> Iterator[ControlServer]:
    with ControlServer("127.0.0.1", 0, "right", TASK, reports.append, clock) as server:
        yield server
        clock.now += 1000  # agents of the test count as lost: nobody has to hear of the end


def post(
    server: ControlServer, path: str, body: bytes, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("POST", f"/{path}", body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_an_agent_joins_with_its_first_message_and_gets_the_task(server: ControlServer) -> None:
    answer = server.handle_message(dict(FIRST))
    assert RankTask.from_json(answer["task"]) == TASK
    assert answer["over"] is None
    assert "task" not in server.handle_message({"name": "agent", "host": "h1", "order": 0})
    (worker,) = server.list_workers()
    assert worker.host == "h1"


def test_messages_of_one_agent_are_of_one_worker(server: ControlServer) -> None:
    server.handle_message(dict(FIRST))
    (worker,) = server.list_workers()
    server.handle_message(
        {"name": "agent", "host": "h1", "order": 0, "position": [5, 2, True, False]}
    )
    assert server.list_workers() == [worker]
    assert worker.read_position().step == 2
    worker.terminate()
    assert server.handle_message({"name": "agent", "host": "h1", "order": 0})["end"] == "terminate"


def test_workers_are_listed_in_the_order_of_their_agents(server: ControlServer) -> None:
    for order in (2, 0, 1):
        server.handle_message({**FIRST, "name": f"n{order}", "host": f"h{order}", "order": order})
    assert [worker.host for worker in server.list_workers()] == ["h0", "h1", "h2"]


def test_progress_is_reported(server: ControlServer, reports: list[Progress]) -> None:
    progress = {"text": "epoch 1", "done": 1, "total": 2, "metrics": None}
    server.handle_message({**FIRST, "progress": [progress]})
    assert reports == [Progress("epoch 1", 1, 2)]


def test_an_agent_of_another_run_is_told_that_its_run_is_over(server: ControlServer) -> None:
    """An agent whose supervisor died may reach that of the next run at the same address."""
    answer = server.handle_message({"name": "old", "host": "h1", "order": 0, "code": None})
    assert "another run's supervisor has taken its address" in answer["over"]["why"]
    assert list(server.list_workers()) == []


def test_agents_learn_why_the_run_is_over(clock: FakeClock) -> None:
    server = ControlServer("127.0.0.1", 0, "right", TASK, print, clock)
    with pytest.raises(RankError), server:
        server.handle_message({**FIRST, "bye": True})
        raise RankError("rank 1 of 2 died")
    late = {**FIRST, "name": "late"}
    assert server.handle_message(late) == {"over": {"why": "rank 1 of 2 died"}}


def test_the_server_waits_3_seconds_for_agents_to_hear_of_the_end() -> None:
    """The clock jumps by one second at each look."""
    clock = itertools.count(step=1)
    with ControlServer("127.0.0.1", 0, "", TASK, print, clock.__next__) as server:
        server.handle_message(dict(FIRST))
        looks = next(clock)
    assert 4 <= next(clock) - looks <= 12


def join(server: ControlServer, secret: str = "right") -> tuple[AgentChannel, str]:
    """Open a channel as an agent does; return it and its path."""
    nonce = make_nonce()
    status, content = post(server, "join", json.dumps({"nonce": nonce.hex()}).encode())
    assert status == 200
    answer = json.loads(content)
    server_nonce, proof = bytes.fromhex(answer["nonce"]), base64.b64decode(answer["proof"])
    return AgentChannel(secret, nonce, server_nonce, proof), answer["path"]


def test_strangers_are_refused(server: ControlServer) -> None:
    with pytest.raises(RankError, match="does not know the secret of this run"):
        run_agent(AgentConnection("127.0.0.1", server.port, "wrong", 0))
    assert list(server.list_workers()) == []


def test_an_agent_that_joined_gets_the_task(server: ControlServer) -> None:
    channel, path = join(server)
    status, sealed = post(server, path, channel.seal_request(json.dumps(FIRST).encode()))
    assert status == 200
    assert RankTask.from_json(json.loads(channel.open_answer(sealed))["task"]) == TASK
    assert len(server.list_workers()) == 1


@pytest.mark.parametrize("body", ["not json", "[1]", '{"host": "h1"}', '{"name": "x", "first": 1}'])
def test_messages_of_agents_that_are_none(server: ControlServer, body: str) -> None:
    channel, path = join(server)
    status, content = post(server, path, channel.seal_request(body.encode()))
    assert status == 400
    assert json.loads(content)["error"]  # the agent shows it
    assert len(server.list_workers()) == 0


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("join", b"{}", {}, 400),
        ("join", b"[1]", {}, 400),
        ("join", b'{"nonce": "00"}', {}, 400),
        ("join", b'{"nonce": 1}', {}, 400),
        ("join", b"[" * 999, {}, 400),
        ("join", b"x" * 1001, {}, 413),
        ("nowhere", b"x", {}, 404),
        ("", b"x", {}, 404),
        ("join", b"", {"Content-Length": "-1"}, 413),
        ("join", b"", {"Content-Length": "many"}, 413),
        ("join", b"", {"Content-Length": "9" * 30}, 413),
        ("nowhere", b"", {"Content-Length": str(64 * 2**20 + 1)}, 413),
    ],
)
def test_bad_requests_are_answered(
    server: ControlServer, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    code, content = post(server, path, body, headers)
    assert code == status
    assert json.loads(content)["error"]
    assert len(server.list_workers()) == 0


@pytest.mark.parametrize(
    "message",
    [
        [1], "x", 3, None, {}, {"name": 3}, {**FIRST, "order": "0"}, {**FIRST, "host": None},
        {**FIRST, "position": "abcd"}, {**FIRST, "position": [1]}, {**FIRST, "position": 4 * [0]},
        {**FIRST, "tail": "x"}, {**FIRST, "tail": [1]}, {**FIRST, "progress": {}},
        {**FIRST, "progress": [1]}, {**FIRST, "progress": [{"txt": 1}]}, {**FIRST, "code": "0"},
        {**FIRST, "facts": []}, {**FIRST, "error": "x"}, {**FIRST, "result": [1]},
        {**FIRST, "more": 1}, {"name": "agent", "first": True}, {**FIRST, "waiting": 1.5},
        {**FIRST, "stopped": "no"}, {**FIRST, "first": "yes"},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_types_reach_no_supervisor(server: ControlServer, message: object) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        server.handle_message(message)  # type: ignore[arg-type]
    for worker in server.list_workers():  # one that progressed wrongly has joined; it can be read
        worker.read_position()


def test_what_is_no_channel_is_not_read(server: ControlServer) -> None:
    """A stranger who announces 60 MiB is answered before it sends any of it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nContent-Length: 62914560\r\n\r\n")
        assert b"404" in connection.recv(1000)


@pytest.mark.parametrize("path", ["nowhere", "join"])
def test_a_body_that_is_not_read_is_no_next_request(server: ControlServer, path: str) -> None:
    """Connections are kept, so what a stranger sends as a body must not be taken for a request."""
    nonce = json.dumps({"nonce": make_nonce().hex()})
    inner = f"POST /join HTTP/1.1\r\nContent-Length: {len(nonce)}\r\n\r\n{nonce}".ljust(2000)
    head = f"POST /{path} HTTP/1.1\r\nContent-Length: {len(inner)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall((head + inner).encode())
        answer = b""
        try:
            while part := connection.recv(10_000):
                answer += part
        except ConnectionResetError:  # its end is lost with what was not read
            pass
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in answer


def test_a_connection_is_kept_for_the_next_message(server: ControlServer) -> None:
    nonce = json.dumps({"nonce": make_nonce().hex()})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    sockets = []
    try:
        for _ in range(3):
            connection.request("POST", "/join", nonce)
            assert connection.getresponse().read()
            sockets.append(connection.sock)
    finally:
        connection.close()
    assert sockets[0] is not None
    assert sockets == sockets[:1] * 3


def test_connections_end_with_the_server(clock: FakeClock) -> None:
    with ControlServer("127.0.0.1", 0, "right", TASK, print, clock) as server:
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        connection.sendall(b"POST /join HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        assert b"400" in connection.recv(1000)
    with connection:
        assert connection.recv(1000) == b""
