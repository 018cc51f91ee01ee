"""An agent between a rank's process and the control server, both of them scripted."""

import io
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from headrace.distributed.heartbeat import Position
from headrace.distributed.slot import Slot, assign_slots
from headrace.distributed.supervise import agent as agent_module
from headrace.distributed.supervise.agent import (
    AgentConnection,
    run_agent,
)
from headrace.distributed.task import RankTask
from headrace.errors import RankError
from headrace.progress import Progress, Report
from tests.distributed.fakes import FakeClock, FakeWorker

CONNECTION = AgentConnection("127.0.0.1", 5, "right", order=3, connect_timeout=1.0)
RIGID, ELASTIC = RankTask("headrace.a:b", {}), RankTask("headrace.a:b", {}, sizes=[1, 2])
(SLOT,) = assign_slots(["h1"], address="x", port=1)
OVER = {"over": {"why": None}}


class Conversation:
    """Answers of a control server, one per message of the agent, and what they are given to."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.messages = list(answers), []
        self.worker = FakeWorker()
        self.clock = FakeClock()
        self.report: Report = lambda _: None

    def post(self, body: str) -> dict[str, Any]:
        """Take a message; an answer may be an error to raise or a function to call."""
        self.messages.append(json.loads(body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer

    def start_worker(
        self, path: Path, task: RankTask, report: Report, interface: str, host: str
    ) -> FakeWorker:
        assert (interface, host) == ("lo", socket.gethostname())
        self.report = report
        return self.worker

    def run(self, monkeypatch: pytest.MonkeyPatch, should_end: Any = lambda: False) -> str | None:
        monkeypatch.setattr(agent_module._Agent, "_post_message", self.post)
        monkeypatch.setattr(agent_module, "LocalWorker", self.start_worker)
        return run_agent(CONNECTION, should_end, self.clock, self.clock.sleep)


def start_of(task: RankTask) -> dict[str, Any]:
    """Return the answer to an agent's first message."""
    return {"task": task.to_json(), "place": None, "change": None, "end": "", "over": None}


def test_an_agent_sends_its_status_once_and_then_what_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def move() -> dict[str, Any]:
        conversation.worker.position = Position(2, 0, True)
        conversation.worker.log_tail = ["hello"]
        conversation.report(Progress("epoch 1"))
        return {}

    conversation = Conversation(start_of(RIGID), {"place": SLOT.to_json()}, move, OVER, {})
    assert conversation.run(monkeypatch) is None
    first, status, assigned, moved, bye = conversation.messages
    identity = {"name": first["name"], "host": first["host"], "order": 3}
    assert first == {**identity, "first": True}
    assert status == {
        **identity,
        "code": None,
        "position": [0, -1, False, False],
        "stopped": False,
        "waiting": 0,
        "tail": [],
        "facts": {},
        "progress": [],
    }
    assert assigned == {**identity, "waiting": None, "progress": []}
    progress = {"text": "epoch 1", "done": None, "total": None, "metrics": None}
    assert moved == {
        **identity,
        "position": [2, 0, True, False],
        "tail": ["hello"],
        "progress": [progress],
    }
    assert bye == {
        **identity, "code": -9, "error": None, "result": None, "progress": [], "bye": True,
    }  # fmt: skip
    assert conversation.worker.slots == [SLOT]


def test_an_agent_passes_on_what_the_supervisor_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot is assigned once, however often it is answered; SIGTERM is sent once."""
    slot = SLOT.to_json()
    conversation = Conversation(
        start_of(RIGID),
        {"place": slot, "change": 0},
        {"place": slot, "end": "terminate"},
        {"place": slot, "end": "terminate"},
        {"place": slot | {"generation": 1}, "end": "kill"},
        {"over": {"why": "rank 1 of 2 died"}},
        {},
    )
    assert conversation.run(monkeypatch) == "rank 1 of 2 died"
    worker = conversation.worker
    assert worker.slots == [SLOT, Slot(**(slot | {"generation": 1}))]
    assert worker.requested_changes == [0]
    assert worker.signals[:2] == ["SIGTERM", "SIGKILL"]


def test_what_was_sent_long_ago_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> dict[str, Any]:
        conversation.worker.exit(1)
        return {}

    conversation = Conversation(start_of(RIGID), {}, fail, {}, {}, OVER, {})
    conversation.run(monkeypatch)
    assert [sorted(m.keys() - {"name", "host", "order"}) for m in conversation.messages[2:5]] == [
        ["progress"], ["code", "error", "progress", "result"], ["progress"]
    ]  # fmt: skip


def test_a_rank_is_killed_at_once_where_the_supervisor_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look() -> dict[str, Any]:
        assert conversation.worker.signals == ["SIGKILL"]
        return OVER

    conversation = Conversation(start_of(RIGID), {"end": "kill"}, look, {})
    conversation.run(monkeypatch)
    assert conversation.answers == []


def test_the_result_is_in_the_last_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def finish() -> dict[str, Any]:
        conversation.worker.exit(0, {"loss": 0.5})
        return {}

    conversation = Conversation(start_of(RIGID), finish, OVER, {})
    assert conversation.run(monkeypatch) is None
    assert conversation.messages[2]["code"] == 0
    assert conversation.messages[2]["result"] == {"loss": 0.5}


def test_a_run_that_is_over_starts_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = Conversation({"over": {"why": "too late"}}, {})
    assert conversation.run(monkeypatch) == "too late"
    assert conversation.worker.signals == []


def test_a_host_to_be_vacated_lets_its_rank_write_a_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conversation = Conversation(start_of(RIGID), {}, {"over": {"why": "a checkpoint"}}, {})
    assert conversation.run(monkeypatch, should_end=lambda: True) == "a checkpoint"
    assert conversation.worker.signals == ["SIGTERM", "SIGKILL", "SIGKILL"]


def test_an_agent_posts_when_it_is_told_to_or_its_rank_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every second, ten looks; a rank that waits, ends or has progress is posted at the next one,
    and a host that is to be vacated at the first."""
    times: list[float] = []

    def answer(**change: Any) -> Any:
        def post() -> dict[str, Any]:
            times.append(round(conversation.clock.now, 1))
            return {"interval": 1.0, **change}

        return post

    conversation = Conversation(
        start_of(RIGID) | {"interval": 1.0}, *[answer() for _ in range(6)], answer(**OVER), {}
    )
    worker, clock = conversation.worker, conversation.clock
    worker.waiting = None  # it has just begun
    clock.at(1.25, lambda: worker.wait_for(0))
    clock.at(2.85, lambda: conversation.report(Progress("epoch 1")))
    clock.at(4.55, lambda: worker.exit(0, {}))
    clock.at(5.15, lambda: ending.append(True))
    ending: list[bool] = []
    conversation.run(monkeypatch, should_end=lambda: bool(ending))
    assert times == [1.0, 1.3, 2.3, 2.9, 3.9, 4.6, 5.2]


def test_an_elastic_run_goes_on_without_a_host_to_be_vacated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conversation = Conversation(start_of(ELASTIC))
    with pytest.raises(RankError, match="this rank's process was told to terminate"):
        conversation.run(monkeypatch, should_end=lambda: True)
    assert conversation.worker.signals == ["SIGKILL"]


def test_an_agent_leaves_an_elastic_run_when_its_rank_died(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conversation = Conversation(start_of(ELASTIC), lambda: conversation.worker.exit(1) or {}, {})
    with pytest.raises(RankError, match="this agent's rank exited with 1"):
        conversation.run(monkeypatch)
    assert conversation.messages[-1]["bye"] is True


def test_an_agent_retries_until_its_connect_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 second at first: attempts after 0, 0.2, …, 1.0 or 1.2 s."""
    conversation = Conversation(*[ConnectionRefusedError("refused")] * 10)
    with pytest.raises(
        RankError, match=r"supervisor at 127.0.0.1:5 cannot be reached \(refused\); check"
    ):
        conversation.run(monkeypatch)
    assert 6 <= len(conversation.messages) <= 7
    assert 1.0 < conversation.clock.now < 1.3


def test_later_an_agent_retries_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """30 seconds once it has joined: 100 attempts, 20 seconds, are not too many."""
    refused = [ConnectionRefusedError("refused")] * 100
    conversation = Conversation(start_of(RIGID), *refused, OVER, {})
    assert conversation.run(monkeypatch) is None
    assert conversation.clock.now == pytest.approx(20.1)


@pytest.mark.parametrize(
    ("outcome", "code", "text"),
    [
        (None, 0, ""),
        ("rank 1 of 2 died", 1, ""),  # told where the run was started
        (RankError("its rank\nTraceback"), 1, ": its rank\n"),
    ],
)
def test_the_exit_code_of_the_command(
    outcome: Any,
    code: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(connection: AgentConnection) -> str | None:
        assert connection == AgentConnection("x", 5, "s", 2)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    line = json.dumps({"address": "x", "port": 5, "secret": "s", "order": 2})
    monkeypatch.setattr(agent_module.sys, "stdin", io.StringIO(line + "\n"))
    monkeypatch.setattr(agent_module, "run_agent", run)
    assert agent_module.main() == code
    assert capsys.readouterr().err.endswith(text)
