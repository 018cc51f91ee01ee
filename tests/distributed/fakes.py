"""A clock that only moves when it is told to, and ranks without processes."""

import signal
import time
from collections.abc import Callable
from typing import Any

from headrace.distributed.heartbeat import Position
from headrace.distributed.slot import Slot


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does in milliseconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class FakeClock:
    """Seconds from 0 that pass in `sleep`, where events happen at their times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, Callable[[], Any]]] = []

    def __call__(self) -> float:
        return self.now

    def at(self, time: float, *events: Callable[[], Any]) -> None:
        self._events += [(time, event) for event in events]

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        due = [pair for pair in self._events if pair[0] <= self.now]
        self._events = [pair for pair in self._events if pair not in due]
        for _, event in sorted(due, key=lambda pair: pair[0]):
            event()


class FakeWorker:
    """A `worker.Worker` whose state a test sets."""

    def __init__(self, host: str = "a", rank: int | None = None, size: int = 2) -> None:
        self.host = host
        self.slot: Slot | None = None
        if rank is not None:
            self.slot = Slot(0, rank, size, rank, size, 0, 1, host, "x", 1)
        self.log_tail: list[str] = []
        self.code: int | None = None
        self.position = Position(0, -1, False)
        self.stopped = False
        self.waiting: int | None = 0
        self.error: dict[str, Any] | None = None
        self.result: dict[str, Any] | None = None
        self.carried_values: dict[str, Any] = {}
        self.slots: list[Slot] = []
        self.requested_changes: list[int] = []
        self.signals: list[str] = []
        self.kill_started = False

    def fail(self, message: str, time: float, *, lost_a_peer: bool = False) -> None:
        """Exit with 1 after an error."""
        self.code = 1
        self.error = {
            "type": "ValueError",
            "message": message,
            "traceback": "in f",
            "time": time,
            "lost_a_peer": lost_a_peer,
        }

    def exit(self, code: int, result: dict[str, Any] | None = None) -> None:
        self.code, self.result = code, result

    def wait_for(self, generation: int) -> None:
        self.waiting = generation

    def poll_exit_code(self) -> int | None:
        return self.code

    def describe_exit(self) -> str:
        return f"exited with {self.code}"

    def read_position(self) -> Position:
        return self.position

    def is_stopped(self) -> bool:
        return self.stopped

    def read_awaited_generation(self) -> int | None:
        return self.waiting

    def read_error(self) -> dict[str, Any] | None:
        return self.error

    def read_result(self) -> dict[str, Any] | None:
        return self.result

    def read_carried_values(self) -> dict[str, Any]:
        return self.carried_values

    def assign_slot(self, slot: Slot) -> None:
        self.slot, self.waiting = slot, None
        self.slots.append(slot)

    def request_change(self, generation: int) -> None:
        self.requested_changes.append(generation)

    def terminate(self) -> None:
        self.signals.append("SIGTERM")

    def start_kill(self) -> None:
        self.kill_started = True

    def kill(self) -> None:
        self.signals.append("SIGKILL")
        if self.code is None:
            self.code = -signal.SIGKILL
