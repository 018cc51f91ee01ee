"""Hold the inputs of a build, its step timer, and the outcomes that ask for another build with
another plan."""

import time
import uuid
from dataclasses import dataclass
from datetime import datetime

from headrace.progress import Report
from headrace.recipe import Recipe


@dataclass(frozen=True)
class RebuildWithPartitions:
    """Outcome of a build whose rows share keys with published rows of other source partitions.

    Attributes:
        names: source partitions that have to be processed as well, in order.
    """

    names: tuple[str, ...]


@dataclass(frozen=True)
class RebuildWithRefit:
    """Outcome of a build whose rows drifted, where the recipe wants the transform fitted again.

    Attributes:
        drift: a description of what drifted.
    """

    drift: str


@dataclass(frozen=True)
class RebuildWithTexts:
    """Outcome of a build that met texts that are no UTF-8.

    Attributes:
        columns: that hold them.
    """

    columns: tuple[str, ...]


class StepTimer:
    """The seconds of every step of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def record_step(self, name: str) -> None:
        """Add the time since the last step to the one of this name."""
        now = time.monotonic()
        self.seconds[name] = round(self.seconds.get(name, 0) + now - self._last, 2)
        self._last = now


def make_build_id(now: datetime) -> str:
    """Make the id of a build that begins now, which is in the names of its files."""
    return f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Attempt:
    """One attempt to publish a version.

    Attributes:
        recipe, root: what is built, and where.
        build_id: in the names of all files that are written.
        idempotency_id: under which it is published once; None where there is none.
        base_version: the newest one; the commit is the next or fails.
        started_at: when the attempt began.
        timer, report: of the whole run.
    """

    recipe: Recipe
    root: str
    build_id: str
    idempotency_id: str | None
    base_version: int | None
    started_at: datetime
    timer: StepTimer
    report: Report
