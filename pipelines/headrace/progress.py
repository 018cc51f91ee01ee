"""Define the progress that a stage reports while it works; showing it is left to `commands/`.

A stage takes a `Report` and calls it with `Progress` values. Ranks run in other processes, so a
value can be sent over a pipe as one line of JSON.

A text that begins with a verb in -ing says what is being done from now on (a step: «reading
tables»). Every other one is a remark: a fact that is worth a line, and changes nothing of the step.
"""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

_STEP = re.compile(r"(?!nothing|during|string)[a-z-]+ing\b")
_EPOCH = re.compile(r"epoch (\d+) of (\d+)\b")


@dataclass(frozen=True)
class Progress:
    """One message of progress.

    Attributes:
        text: current work, in a few words.
        done: units finished so far; None where the amount of work is unknown.
        total: units of work in all; None where it is unknown.
        metrics: metrics of an epoch that has ended, with its number as `epoch`.
    """

    text: str
    done: int | None = None
    total: int | None = None
    metrics: dict[str, float] | None = None

    @property
    def is_step(self) -> bool:
        """Return whether the text says what is being done from now on."""
        return _STEP.match(self.text) is not None or self.total is not None

    @property
    def epoch(self) -> tuple[int, int] | None:
        """Return the number of the epoch that this is about, from 1, and how many there are."""
        match = _EPOCH.match(self.text)
        return (int(match[1]), int(match[2])) if match else None

    def to_json(self) -> str:
        """Return the message as one line of JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(line: str) -> "Progress":
        """Return the message that `to_json` made a line of."""
        return Progress(**json.loads(line))


Report = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """Drop a message: the `Report` of callers that do not show progress."""
