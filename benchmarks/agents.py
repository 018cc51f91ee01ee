"""Run many agents against one supervisor on loopback: launch, a change of generation, and the end.

    python -m benchmarks.agents --ranks 512   # one size; benchmarks.growth has the curve

Sockets, sealed channels, agents, control server and supervisor are those of a run; a rank is an
object in its agent's thread that keeps to the protocol of ranks, and neither computes nor starts a
process. What is measured is the supervisor's process: its processor time, messages and connections.
"""

import argparse
import contextlib
import itertools
import json
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from headrace.distributed.heartbeat import Position
from headrace.distributed.slot import Slot
from headrace.distributed.supervise import agent as agent_module
from headrace.distributed.supervise.agent import AgentConnection, run_agent
from headrace.distributed.supervise.control_server import ControlServer
from headrace.distributed.supervise.supervisor import Supervisor
from headrace.distributed.task import RankTask
from headrace.errors import HeadraceError
from headrace.progress import Progress

_SECRET = "of a benchmark on loopback"  # noqa: S105
# Agents of one process: threads of one interpreter, which leave time to the supervisor's.
_AGENTS_PER_PROCESS = 256


class InProcessRank:
    """A rank without a process: it takes steps while it has a slot, and ends when it is told to.

    It is what `agent.LocalWorker` is to an agent.
    """

    def __init__(
        self, path: Path, task: RankTask, report: Any, interface: str, host: str = ""
    ) -> None:
        self.slot: Slot | None = None
        self.host, self.log_tail = host, ["started"]
        self._payload = task.payload
        self._code: int | None = None
        self._awaited: int | None = 0
        self._started = time.monotonic()
        self._end: float | None = None

    def poll_exit_code(self) -> int | None:
        if self._code is None and self._end is not None and time.monotonic() > self._end:
            self._code = 0
        return self._code

    def describe_exit(self) -> str:
        return f"exited with {self._code}"

    def read_position(self) -> Position:
        steps = int(10 * (time.monotonic() - self._started))
        return Position(2 * steps, steps, False, self._code == 0)

    def is_stopped(self) -> bool:
        return False

    def read_awaited_generation(self) -> int | None:
        return self._awaited

    def read_error(self) -> dict[str, Any] | None:
        return None

    def read_result(self) -> dict[str, Any] | None:
        return {"rank": self.slot.rank} if self.slot and self._code == 0 else None

    def read_carried_values(self) -> dict[str, Any]:
        return {}

    def assign_slot(self, slot: Slot) -> None:
        self.slot, self._awaited = slot, None
        if slot.generation == self._payload["last_generation"]:
            self._end = time.monotonic() + self._payload["seconds"]

    def request_change(self, generation: int) -> None:
        if self.slot is not None and self.slot.generation == generation:
            self._awaited = generation + 1

    def terminate(self) -> None:
        self.kill()

    def kill(self) -> None:
        if self._code is None:
            self._code = -9


def run_agents(port: int, first: int, count: int) -> list[str]:
    """Run agents in threads of this process, and return why those that failed did.

    Their ranks are `agent.LocalWorker`, which whoever calls this has replaced by `InProcessRank`.
    """
    failures: list[str] = []

    def run(order: int) -> None:
        try:
            failure = run_agent(AgentConnection("127.0.0.1", port, _SECRET, order))
        except HeadraceError as error:
            failure = str(error)
        if failure is not None:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(first + i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def measure_agents(ranks: int, *, seconds: float = 5.0) -> dict[str, Any]:
    """Run a task on ranks - 1 agents, admit the last one as a change of generation, and end it.

    Args:
        ranks: number of agents.
        seconds: that the last generation runs for.

    Returns:
        seconds until the first generation, until the next and at the end; processor time of this
        process, and shares of a core of it; connections and messages; what the run ended with, and
        agents that failed.
    """
    payload = {"last_generation": 1, "seconds": seconds}
    task = RankTask(
        "headrace.benchmark:none", payload, collectives="tensorflow", sizes=[ranks - 1, ranks]
    )
    marks: dict[str, tuple[float, float]] = {}
    messages = itertools.count()
    connections = itertools.count()
    sizes: list[str] = []

    def mark(name: str) -> None:
        marks[name] = (time.monotonic(), _read_processor_seconds())

    def report(progress: Progress) -> None:
        sizes.append(progress.text)
        mark("changed")

    agents: list[subprocess.Popen[str]] = []
    mark("begun")
    outcome: str | dict[str, Any]
    try:
        with ControlServer("127.0.0.1", 0, _SECRET, task, report) as server:
            _count_calls(server, "handle_message", messages)
            _count_calls(server._server, "process_request", connections)
            for first in range(0, ranks - 1, _AGENTS_PER_PROCESS):
                count = min(_AGENTS_PER_PROCESS, ranks - 1 - first)
                agents.append(_start_agents(server.port, first, count))
            supervisor = Supervisor(task, server, report, 120)
            form_generation = supervisor._form_generation

            def form_and_mark(members: list[Any]) -> None:
                form_generation(members)
                if "formed" not in marks:
                    mark("formed")
                    agents.append(_start_agents(server.port, ranks - 1, 1))

            supervisor._form_generation = form_and_mark  # type: ignore[method-assign]
            outcome = supervisor.run(ranks - 1)
            mark("finished")
    except HeadraceError as error:
        outcome = str(error)
        mark("finished")
    mark("closed")
    failures = []
    for process in agents:
        with contextlib.suppress(ValueError):
            failures += json.loads(process.communicate(timeout=120)[0] or "[]")
    begun = marks["begun"]
    figures: dict[str, Any] = {
        f"{name}_seconds": round(moment - begun[0], 2) for name, (moment, _) in marks.items()
    }
    if "changed" in marks:
        (start, spent), (end, spent_at_end) = marks["changed"], marks["finished"]
        figures["cores_while_running"] = round((spent_at_end - spent) / (end - start), 3)
    return {
        **figures,
        "processor_seconds": round(marks["closed"][1] - begun[1], 2),
        "outcome": outcome if isinstance(outcome, str) else "finished",
        "connections": next(connections),
        "messages": next(messages),
        "reports": sizes,
        "failed_agents": len(failures),
        "failures": sorted(set(failures))[:3],
    }


def _count_calls(owner: Any, name: str, counter: "itertools.count[int]") -> None:
    """Count the calls of an object's method."""
    method = getattr(owner, name)

    def count_and_call(*arguments: Any) -> Any:
        next(counter)
        return method(*arguments)

    setattr(owner, name, count_and_call)


def _start_agents(port: int, first: int, count: int) -> "subprocess.Popen[str]":
    numbers = [str(number) for number in (port, first, count)]
    command = [sys.executable, "-m", "benchmarks.agents", "--agents", *numbers]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _read_processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure one number of ranks; or be the agents of such a measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ranks", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--agents", type=int, nargs=3, metavar=("PORT", "FIRST", "COUNT"))
    arguments = parser.parse_args()
    if arguments.agents:
        agent_module.LocalWorker = InProcessRank  # type: ignore[assignment,misc]
        print(json.dumps(run_agents(*arguments.agents)))
    else:
        print(json.dumps(measure_agents(arguments.ranks, seconds=arguments.seconds), indent=1))


if __name__ == "__main__":
    main()
