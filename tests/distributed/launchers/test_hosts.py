"""Agents over a remote shell: which host each one is started on, and what it is told."""

import io
import json
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from headrace.distributed.launchers import hosts
from headrace.distributed.launchers.hosts import HostsLauncher, find_launcher_address
from headrace.distributed.task import RankTask
from headrace.errors import RankError
from tests.distributed.fakes import wait_until

pytestmark = pytest.mark.usefixtures("quick_servers")


class FakeShell:
    """A remote shell's process; it runs until the test sets `code`."""

    processes: ClassVar[list["FakeShell"]] = []
    output = ""

    def __init__(self, command: list[str], **options: Any) -> None:
        self.command, self.code = command, None
        self.stdin, self.stdout = io.StringIO(), io.StringIO(self.output)
        self.processes.append(self)

    @property
    def host(self) -> str:
        return self.command[-2]

    def poll(self) -> int | None:
        return self.code

    def wait(self, timeout: float | None = None) -> int | None:
        return self.code


@pytest.fixture(autouse=True)
def processes(monkeypatch: pytest.MonkeyPatch) -> list[FakeShell]:
    monkeypatch.setattr(hosts.subprocess, "Popen", FakeShell)
    monkeypatch.setattr(FakeShell, "processes", [])
    return FakeShell.processes


@pytest.fixture
def launcher() -> Iterator[HostsLauncher]:
    names = ["h1:2", "h2"]
    task = RankTask("a:b", {})
    with HostsLauncher(names, ["ssh", "-q"], "127.0.0.1", "word", task, print) as launcher:
        yield launcher


def join(launcher: HostsLauncher, order: int) -> None:
    launcher.handle_message(
        {"name": f"n{order}", "host": "x", "order": order, "first": True, "bye": True}
    )


def test_hosts_are_filled_in_their_order(
    launcher: HostsLauncher, processes: list[FakeShell]
) -> None:
    launcher.start_workers(3)
    assert [process.host for process in processes] == ["h1", "h1", "h2"]


def test_more_ranks_than_slots_are_refused(
    launcher: HostsLauncher, processes: list[FakeShell]
) -> None:
    with pytest.raises(RankError, match=r"train.launcher.hosts has 3 slots, too few for 4 ranks"):
        launcher.start_workers(4)
    assert processes == []


def test_a_lost_rank_is_replaced_when_its_slot_is_free(
    launcher: HostsLauncher, processes: list[FakeShell]
) -> None:
    launcher.start_workers(3)
    launcher.start_workers(1)
    launcher.start_pending()
    assert len(processes) == 3
    processes[1].code = 1
    launcher.start_pending()
    launcher.start_pending()
    assert [process.host for process in processes] == ["h1", "h1", "h2", "h1"]


def test_the_secret_travels_through_standard_input(
    launcher: HostsLauncher, processes: list[FakeShell]
) -> None:
    launcher.start_workers(2)
    for order, process in enumerate(processes):
        assert process.command[:3] == ["ssh", "-q", "h1"]
        assert "headrace.distributed.supervise.agent" in process.command[3]
        assert "word" not in " ".join(process.command)
        assert json.loads(process.stdin.getvalue()) == {
            "address": "127.0.0.1", "port": launcher.port, "secret": "word", "order": order,
        }  # fmt: skip


def test_an_agent_that_exits_before_it_joined_is_an_error(
    launcher: HostsLauncher, processes: list[FakeShell], monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher.start_workers(3)
    join(launcher, 0)
    processes[0].code = 1  # it had joined: the supervisor sees to it
    launcher.raise_if_failed()
    processes[2].code = 255
    with pytest.raises(RankError, match="no rank could be started on h2: it printed nothing"):
        launcher.raise_if_failed()


def test_the_error_has_the_last_20_lines_of_output(
    launcher: HostsLauncher,
    processes: list[FakeShell],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(FakeShell, "output", "".join(f"line {n}\n" for n in range(50)))
    launcher.start_workers(1)
    wait_until(lambda: "line 49" in capsys.readouterr().err)
    processes[0].code = 255
    with pytest.raises(RankError) as error:
        launcher.raise_if_failed()
    lines = "\n".join(f"line {n}" for n in range(30, 50))
    assert str(error.value) == (
        f"no rank could be started on h1: {lines}; check that `ssh -q h1 true` works and that "
        "headrace is at the same path there"
    )


def test_the_error_has_lines_that_were_not_read_yet(
    launcher: HostsLauncher, processes: list[FakeShell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a process is seen before its last words."""
    read = HostsLauncher._read_output

    def read_late(*arguments: Any) -> None:
        time.sleep(0.3)
        read(*arguments)

    monkeypatch.setattr(HostsLauncher, "_read_output", read_late)
    monkeypatch.setattr(FakeShell, "output", "no route\n")
    launcher.start_workers(1)
    processes[0].code = 255
    with pytest.raises(RankError, match="no rank could be started on h1: no route; check"):
        launcher.raise_if_failed()


def test_lines_of_ranks_keep_their_prefix_and_others_get_the_host(
    launcher: HostsLauncher, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher._read_output("h1", io.StringIO("[rank 3] hello\nWarning: key\n"))
    assert capsys.readouterr().err == "[rank 3] hello\n[h1] Warning: key\n"


def test_the_address_is_the_one_on_the_route_to_the_first_host() -> None:
    assert find_launcher_address(["127.0.0.1:2", "no-such-host"]) == "127.0.0.1"
