"""Read and write the folder through which a rank's process and its supervisor or agent communicate.

Every message is a small file that is replaced as a whole. The rank reads `task.json`,
`place-GENERATION.json` (its slot) and `change`; it writes `waiting`, `pulse` (its heartbeat),
`facts.json`, `result.json`, `error.json` and `done`. Except for the heartbeat they are text, so
that `cat` is enough to debug a run that hangs. What follows from a message is decided by
`supervise/` and `rank/`.
"""

import contextlib
import json
from pathlib import Path
from typing import Any

from headrace.distributed.slot import Slot


def write_atomically(file: Path, text: str) -> None:
    """Write a temporary file beside `file` and rename it, so that readers never see half a file."""
    temporary = file.with_name(file.name + ".aside")
    temporary.write_text(text, encoding="utf-8")
    temporary.rename(file)


def read_json(file: Path) -> Any:
    """Return the JSON value in a file, or None if there is no such file."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads(file.read_text(encoding="utf-8"))
    return None


class RankFolder:
    """A rank's folder, with one method for each end of each message.

    Attributes:
        path: of the folder.
        heartbeat_path: of the file for `heartbeat.Heartbeat`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heartbeat_path = path / "pulse"

    def assign_slot(self, slot: Slot) -> None:
        """Give the rank its slot in one generation."""
        text = json.dumps(slot.to_json())
        write_atomically(self.path / f"place-{slot.generation:06d}.json", text)

    def read_slot(self, generation: int) -> Slot | None:
        """Return the newest slot if it is of this generation or a later one, else None."""
        for file in sorted(self.path.glob("place-*.json"), reverse=True):
            slot = Slot(**json.loads(file.read_text(encoding="utf-8")))
            return slot if slot.generation >= generation else None
        return None

    def announce_waiting(self, generation: int) -> None:
        """Announce that the rank waits for its slot in this generation."""
        write_atomically(self.path / "waiting", str(generation))

    def read_awaited_generation(self) -> int | None:
        """Return the generation that the rank announced last, or None if it never did."""
        generation: int | None = read_json(self.path / "waiting")
        return generation

    def request_change(self, generation: int) -> None:
        """Ask the rank to leave this generation, so that the members can change."""
        write_atomically(self.path / "change", str(generation))

    def read_requested_change(self) -> int:
        """Return the newest generation that the rank is asked to leave, or -1."""
        generation = read_json(self.path / "change")
        return -1 if generation is None else int(generation)

    def write_carried_values(self, values: dict[str, Any]) -> None:
        write_atomically(self.path / "facts.json", json.dumps(values))

    def read_carried_values(self) -> dict[str, Any]:
        """Return what the rank saved for later generations; empty if it saved nothing."""
        return read_json(self.path / "facts.json") or {}

    def write_result(self, result: dict[str, Any]) -> None:
        write_atomically(self.path / "result.json", json.dumps(result))

    def read_result(self) -> dict[str, Any] | None:
        """Return what the rank's function returned, or None if it wrote no result."""
        result: dict[str, Any] | None = read_json(self.path / "result.json")
        return result

    def mark_done(self) -> None:
        """Say that the rank's task is done, and that its process stays for others."""
        write_atomically(self.path / "done", "")

    def is_done(self) -> bool:
        """Return whether the rank's task is done, though its process may go on."""
        return (self.path / "done").exists()

    def write_error(self, error: dict[str, Any]) -> None:
        write_atomically(self.path / "error.json", json.dumps(error))

    def read_error(self) -> dict[str, Any] | None:
        """Return the record of the error that ended the rank, or None if it wrote none."""
        error: dict[str, Any] | None = read_json(self.path / "error.json")
        return error
