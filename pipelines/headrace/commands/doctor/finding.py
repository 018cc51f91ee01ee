"""What a check found."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: of what.
        state: a warning does not stop a pipeline.
        what: what was found.
        fix: what to do; empty where nothing has to be done.
    """

    name: str
    state: State
    what: str
    fix: str = ""

    def plain(self) -> dict[str, Any]:
        return asdict(self)


Check = Callable[[], list[Finding]]


def ok(name: str, what: str) -> Finding:
    return Finding(name, State.OK, what)


def warn(name: str, what: str, fix: str) -> Finding:
    return Finding(name, State.WARN, what, fix)


def fail(name: str, what: str, fix: str) -> Finding:
    return Finding(name, State.FAIL, what, fix)
