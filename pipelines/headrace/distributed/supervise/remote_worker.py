"""Define a rank on another host as its supervisor sees it: by what its agent posts.

The agent's messages are checked here, because the supervisor relies on them in its own thread; how
they come is left to `control_server.py`.
"""

import signal
import time
from collections.abc import Callable
from typing import Any

from headrace.distributed.heartbeat import Position
from headrace.distributed.slot import Slot
from headrace.distributed.supervise.worker import describe_exit_code

# Seconds without a message after which a host counts as lost.
_SILENCE_SECONDS = 20.0
# Part of a message -> its types.
_NOTHING = type(None)
_MESSAGE: dict[str, tuple[type, ...]] = {
    "name": (str,), "host": (str,), "order": (int,), "first": (bool,), "bye": (bool,),
    "progress": (list,), "code": (int, _NOTHING), "position": (list,), "stopped": (bool,),
    "waiting": (int, _NOTHING), "error": (dict, _NOTHING), "result": (dict, _NOTHING),
    "facts": (dict, _NOTHING), "tail": (list,),
}  # fmt: skip


class RemoteWorker:
    """A rank on another host, by the last status that its agent posted; see `worker.Worker`."""

    def __init__(
        self, name: str, host: str, order: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            name: of the agent.
            host: see `worker.Worker`.
            order: of the agent among all agents.
            clock: returns seconds since any fixed moment.
        """
        self.name, self.host, self.order = name, host, order
        self.slot: Slot | None = None
        self.log_tail: list[str] = []
        self.status: dict[str, Any] = {}
        self._clock = clock
        self._last_heard_at = clock()
        self._requested_change: int | None = None
        self._ending = ""
        self._place: dict[str, Any] | None = None

    @property
    def is_silent(self) -> bool:
        """Return whether a running rank's agent was silent for so long that the host is lost."""
        return (
            self.status.get("code") is None
            and self._clock() - self._last_heard_at > _SILENCE_SECONDS
        )

    def poll_exit_code(self) -> int | None:
        if self.is_silent:
            return -signal.SIGKILL
        return self.status.get("code")

    def describe_exit(self) -> str:
        if self.is_silent:
            return f"on {self.host} has not been heard from for {_SILENCE_SECONDS:g} seconds"
        return f"on {self.host} {describe_exit_code(self.poll_exit_code())}"

    def read_position(self) -> Position:
        beats, step, inside, done = self.status.get("position", (0, -1, False, False))
        return Position(beats, step, inside, done)

    def is_stopped(self) -> bool:
        return bool(self.status.get("stopped"))

    def read_awaited_generation(self) -> int | None:
        generation: int | None = self.status.get("waiting")
        if generation is None or (self.slot is not None and self.slot.generation >= generation):
            return None
        return generation

    def read_error(self) -> dict[str, Any] | None:
        return self.status.get("error")

    def read_result(self) -> dict[str, Any] | None:
        return self.status.get("result")

    def read_carried_values(self) -> dict[str, Any]:
        return self.status.get("facts") or {}

    def assign_slot(self, slot: Slot) -> None:
        self.slot, self._place = slot, slot.to_json()

    def request_change(self, generation: int) -> None:
        self._requested_change = generation

    def terminate(self) -> None:
        self._ending = self._ending or "terminate"

    def start_kill(self) -> None:
        self._ending = "kill"

    def kill(self) -> None:
        self.start_kill()
        deadline = self._clock() + 5
        while self.poll_exit_code() is None and self._clock() < deadline:
            time.sleep(0.05)

    def update_status(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Merge what the agent posted into the status, and return the answer to the agent.

        Args:
            changes: keys of the status that are new or have changed.
        """
        self._last_heard_at = self._clock()
        self.log_tail = changes.pop("tail", self.log_tail)
        self.status |= changes
        return {
            "place": self._place,
            "change": self._requested_change,
            "end": self._ending,
        }


def check_message(message: Any) -> None:
    """Check the types of an agent's message, which the supervisor relies on in its own thread.

    Raises:
        TypeError, ValueError: with what is wrong.
    """
    if not isinstance(message, dict):
        raise TypeError(f"a message is an object, not {type(message).__name__}")
    for key, value in message.items():
        if key not in _MESSAGE:
            raise ValueError(f"{key[:80]!r} is no part of a message")
        if type(value) not in _MESSAGE[key]:
            raise TypeError(f"{key} is {type(value).__name__}")
    position = message.get("position", [0, -1, False, False])
    if [type(item) for item in position] != [int, int, bool, bool]:
        raise TypeError("position is no position")
    for key in ("tail", "progress"):
        kind = str if key == "tail" else dict
        if not all(isinstance(item, kind) for item in message.get(key, [])):
            raise TypeError(f"{key} has something else")
    for key in ("name", "host", "order"):
        if (message.get("first") or key == "name") and key not in message:
            raise KeyError(key)
