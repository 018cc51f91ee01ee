"""The folder by which a rank's process and the one beside it talk: small files, each one whole.

In: `task.json`, `place-GENERATION.json`, `change`. Out: `waiting`, `pulse`, `facts.json`,
`result.json`, `error.json`. Nothing is there that a process of the same machine could not read at
3 a.m. with `cat`.
"""

import contextlib
import json
from pathlib import Path
from typing import Any

from headrace.distributed.slot import Place


def write_whole(file: Path, text: str) -> None:
    """Write aside, then rename."""
    aside = file.with_name(file.name + ".aside")
    aside.write_text(text, encoding="utf-8")
    aside.rename(file)


def read_json(file: Path) -> Any:
    """What is in a file; None where there is none."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads(file.read_text(encoding="utf-8"))
    return None


class RankFolder:
    """Both ends' view of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pulse = path / "pulse"

    def assign(self, place: Place) -> None:
        text = json.dumps(place.to_json())
        write_whole(self.path / f"place-{place.generation:06d}.json", text)

    def place(self, generation: int) -> Place | None:
        """The newest, where it is of this generation or a later one."""
        for file in sorted(self.path.glob("place-*.json"), reverse=True):
            place = Place(**json.loads(file.read_text(encoding="utf-8")))
            return place if place.generation >= generation else None
        return None

    def wait_for(self, generation: int) -> None:
        """Say that the rank waits for this generation."""
        write_whole(self.path / "waiting", str(generation))

    def waiting(self) -> int | None:
        waits: int | None = read_json(self.path / "waiting")
        return waits

    def ask_change(self, generation: int) -> None:
        """Ask the rank to leave this generation."""
        write_whole(self.path / "change", str(generation))

    def change_asked(self) -> int:
        asked = read_json(self.path / "change")
        return -1 if asked is None else int(asked)

    def remember(self, facts: dict[str, Any]) -> None:
        write_whole(self.path / "facts.json", json.dumps(facts))

    def facts(self) -> dict[str, Any]:
        return read_json(self.path / "facts.json") or {}

    def leave_result(self, result: dict[str, Any]) -> None:
        write_whole(self.path / "result.json", json.dumps(result))

    def result(self) -> dict[str, Any] | None:
        result: dict[str, Any] | None = read_json(self.path / "result.json")
        return result

    def leave_error(self, error: dict[str, Any]) -> None:
        write_whole(self.path / "error.json", json.dumps(error))

    def error(self) -> dict[str, Any] | None:
        error: dict[str, Any] | None = read_json(self.path / "error.json")
        return error
