"""Agents and supervisors that do not know the secret of a run, on loopback."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from headrace.distributed.supervise.agent import AgentConnection, run_agent
from headrace.distributed.supervise.control_server import ControlServer
from headrace.distributed.supervise.sealed_channel import (
    AgentChannel,
    ForgedMessageError,
    ServerChannel,
    check_secret,
    make_nonce,
)
from headrace.distributed.task import RankTask
from headrace.errors import RankError
from headrace.progress import ignore_progress

SECRET = "the secret of this run"
PASSWORD = "pa55word-of-the-tracking-server"
TASK = RankTask(
    "headrace.train.rank_training:run", {}, environment={"MLFLOW_TRACKING_URI": PASSWORD}
)
FIRST = {"name": "agent", "host": "host-of-this-run", "order": 0, "first": True}


@contextmanager
def record_requests(
    answer: Any, forward_to: int | None = None
) -> Iterator[tuple[int, list[bytes]]]:
    """Listen as somebody who is no supervisor: record what comes, and answer as told."""
    import http.client

    seen: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            head = f"{self.requestline}\n{self.headers}".encode()
            status, content = 200, b""
            if forward_to is None:
                content = answer(self.path, body)
            else:
                connection = http.client.HTTPConnection("127.0.0.1", forward_to, timeout=10)
                connection.request("POST", self.path, body)
                response = connection.getresponse()
                status, content = response.status, response.read()
                connection.close()
            seen.append(head + body + content)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], seen
    finally:
        server.shutdown()
        server.server_close()


def attack_with(task: dict[str, Any]) -> Any:
    """Answer as a fake supervisor that has a task for the agent, sealed by another secret."""
    state: dict[str, ServerChannel] = {}

    def answer(path: str, body: bytes) -> bytes:
        if path == "/join":
            agent_nonce, server_nonce = bytes.fromhex(json.loads(body)["nonce"]), make_nonce()
            state["channel"] = ServerChannel("a guess", agent_nonce, server_nonce)
            proof = base64.b64encode(state["channel"].proof).decode()
            joined = {"path": "x", "nonce": server_nonce.hex(), "proof": proof}
            return json.dumps(joined).encode()
        return json.dumps({"task": json.dumps(task), "over": None}).encode()

    return answer


def test_a_fake_supervisor_learns_and_runs_nothing(tmp_path: Path) -> None:
    """It got the secret in the first request, and had a command run by the task's environment."""
    task = {
        "target": "os:system", "payload": {},
        "environment": {"PYTHONSTARTUP": "x", "LD_PRELOAD": str(tmp_path / "mark")},
    }  # fmt: skip
    with (
        record_requests(attack_with(task)) as (port, seen),
        pytest.raises(RankError, match="does not know the secret of this run"),
    ):
        run_agent(AgentConnection("127.0.0.1", port, SECRET, 0))
    assert seen
    assert not any(SECRET.encode() in request for request in seen)
    assert len(seen) == 1  # it was told nothing after it could not show that it knows the secret


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"not json", b'{"nonce": "zz"}', b"\0" * 9])
def test_answers_of_something_else(content: bytes) -> None:
    with (
        record_requests(lambda path, body: content) as (port, _),
        pytest.raises(RankError, match="does not know the secret of this run"),
    ):
        run_agent(AgentConnection("127.0.0.1", port, SECRET, 0))


def test_nothing_of_a_run_is_on_the_wire_in_clear() -> None:
    """Somebody between agent and supervisor sees neither the secret nor the task."""
    with (
        ControlServer("127.0.0.1", 0, SECRET, TASK, ignore_progress) as server,
        record_requests(None, forward_to=server.port) as (port, seen),
    ):
        nonce = make_nonce()
        joined = json.loads(post(port, "join", json.dumps({"nonce": nonce.hex()}).encode()))
        channel = open_channel(SECRET, nonce, joined)
        sealed = channel.seal_request(json.dumps({**FIRST, "bye": True}).encode())
        answer = json.loads(channel.open_answer(post(port, joined["path"], sealed)))
        assert RankTask.from_json(answer["task"]) == TASK
        for word in (SECRET, PASSWORD, TASK.target, "host-of-this-run"):
            assert not any(word.encode() in request for request in seen)
        # Repeating what was seen does nothing.
        again = json.loads(post(port, joined["path"], sealed))
        assert "secret" in again["error"]


def open_channel(secret: str, nonce: bytes, joined: dict[str, str]) -> AgentChannel:
    proof = base64.b64decode(joined["proof"])
    return AgentChannel(secret, nonce, bytes.fromhex(joined["nonce"]), proof)


def post(port: int, path: str, body: bytes) -> bytes:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", f"/{path}", body)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_messages_are_of_one_channel_one_direction_and_one_time() -> None:
    agent_nonce, server_nonce = make_nonce(), make_nonce()
    server = ServerChannel(SECRET, agent_nonce, server_nonce)
    agent = AgentChannel(SECRET, agent_nonce, server_nonce, server.proof)
    first = agent.seal_request(b"one")
    assert server.open_request(first) == (1, b"one")
    answer = server.seal_answer(1, b"fine")
    assert agent.open_answer(answer) == b"fine"
    second = agent.seal_request(b"two")
    for forged in (
        first,  # a repetition
        second[:-1],
        second[:8] + bytes([second[8] ^ 1]) + second[9:],
        (3).to_bytes(8, "big") + second[8:],
        answer,
        b"",
    ):
        with pytest.raises(ForgedMessageError):
            server.open_request(forged)
    with pytest.raises(ForgedMessageError):
        agent.open_answer(answer)  # of the request before
    assert server.open_request(second) == (2, b"two")
    with pytest.raises(ForgedMessageError):
        AgentChannel("another", agent_nonce, server_nonce, server.proof)
    with pytest.raises(ForgedMessageError):
        AgentChannel(SECRET, make_nonce(), server_nonce, server.proof)


def test_strangers_who_only_join_fill_no_memory() -> None:
    with ControlServer("127.0.0.1", 0, SECRET, TASK, ignore_progress) as server:
        for _ in range(4200):
            server.open_channel(make_nonce())
        assert len(server._unproven) <= 4096
        assert not server.list_workers()


@pytest.mark.parametrize(
    "change",
    [
        {"target": "os:system"},
        {"target": "headrace_evil.module:run"},
        {"environment": {"LD_PRELOAD": "/x"}},
        {"environment": {"PYTHONPATH": "/x"}},
        {"environment": {"MLFLOW_TRACKING_URI": "x", "PATH": "/x"}},
    ],
)
def test_a_supervisor_that_knows_the_secret_can_run_this_package_alone(
    change: dict[str, Any],
) -> None:
    task = RankTask(**{"target": TASK.target, "payload": {}, **change})
    with (
        ControlServer("127.0.0.1", 0, SECRET, task, ignore_progress) as server,
        pytest.raises(RankError, match="the supervisor wants"),
    ):
        run_agent(AgentConnection("127.0.0.1", server.port, SECRET, 0))


@pytest.mark.parametrize("address", ["192.0.2.1", "10.1.2.3", "0.0.0.0"])
def test_no_empty_secret_where_others_reach(address: str) -> None:
    with pytest.raises(RankError, match="set HEADRACE_SECRET"):
        check_secret("", address)
    with pytest.raises(RankError, match="set HEADRACE_SECRET"):
        ControlServer(address, 0, "", TASK, ignore_progress)
    with pytest.raises(RankError, match="set HEADRACE_SECRET"):
        run_agent(AgentConnection(address, 1, "", 0))
    check_secret("", "127.0.0.1")
    check_secret("", "localhost")
    check_secret("word", address)
