"""Define what a check of the doctor reports: a finding, its state and its fix."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """The outcome of a check of one thing.

    Attributes:
        name: of the thing that was checked.
        state: a warning does not stop a pipeline.
        what: the state in words.
        fix: what to do; empty where nothing has to be done.
    """

    name: str
    state: State
    what: str
    fix: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return asdict(self)


Check = Callable[[], list[Finding]]


def report_ok(name: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(name, State.OK, text)


def report_warning(name: str, text: str, fix: str) -> Finding:
    """Return a finding that may lead to failures."""
    return Finding(name, State.WARN, text, fix)


def report_failure(name: str, text: str, fix: str) -> Finding:
    """Return a finding that stops a pipeline."""
    return Finding(name, State.FAIL, text, fix)
