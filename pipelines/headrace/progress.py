"""What a stage tells the outside while it works; how it looks is the command line's business.

A stage takes a `Report` and calls it with `Progress` values. Ranks run in other processes, so a
value can go over a pipe as one JSON line.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Progress:
    """One step forward.

    Attributes:
        text: what is being done, in a few words.
        done: units finished so far; `None` where the amount of work is not known.
        total: units of work in all; `None` where it is not known.
        metrics: of an epoch that has ended, its number among them as `epoch`.
    """

    text: str
    done: int | None = None
    total: int | None = None
    metrics: dict[str, float] | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(line: str) -> "Progress":
        return Progress(**json.loads(line))


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """A `Report` that drops everything, for callers that do not watch."""
