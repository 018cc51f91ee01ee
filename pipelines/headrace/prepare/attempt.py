"""Describe an attempt to build a dataset version: its inputs, its clock, why it has to restart."""

import time
from dataclasses import dataclass
from datetime import datetime

from headrace.progress import Report
from headrace.recipe import Recipe


@dataclass(frozen=True)
class NeedsPartitions:
    """Outcome of a build whose rows share keys with published rows of other source partitions.

    Attributes:
        names: source partitions that have to be processed as well, in order.
    """

    names: tuple[str, ...]


@dataclass(frozen=True)
class NeedsRefit:
    """Outcome of a build whose rows drifted, where the recipe wants the transform fitted again.

    Attributes:
        drift: what drifted, for people.
    """

    drift: str


class Clock:
    """Seconds of every step of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def record_step(self, name: str) -> None:
        """Add the time since the last step to the one of this name."""
        now = time.monotonic()
        self.seconds[name] = round(self.seconds.get(name, 0) + now - self._last, 2)
        self._last = now


@dataclass(frozen=True)
class Attempt:
    """One attempt to publish a version.

    Attributes:
        recipe, root: what is built, and where.
        build_id: in the names of all files that are written.
        given_id: under which it is published once; None where there is none.
        version: the newest one; the commit is the next or fails.
        now: when it began.
        clock, report: of the whole run.
    """

    recipe: Recipe
    root: str
    build_id: str
    given_id: str | None
    version: int | None
    now: datetime
    clock: Clock
    report: Report
