"""An attempt to build a dataset version: its inputs, its clock, and why it cannot go on."""

import time
from dataclasses import dataclass
from datetime import datetime

from headrace.progress import Report
from headrace.recipe import Recipe


class ContactError(Exception):
    """Rows have keys of published rows whose source partitions have to be processed as well."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        super().__init__(", ".join(names))


class DriftedError(Exception):
    """Rows drifted, and the recipe wants the transform to be fitted again."""


class Clock:
    """Seconds a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = round(self.seconds.get(name, 0) + now - self._last, 2)
        self._last = now


@dataclass(frozen=True)
class Attempt:
    """One try to publish.

    Attributes:
        recipe, root: what is built, and where.
        build_id: in the names of all files that are written.
        given_id: under which it is published once; None where nobody cares.
        version: the newest one; the commit is the next or none.
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
