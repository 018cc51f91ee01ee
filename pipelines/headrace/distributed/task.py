"""A function to be run by every rank, named and described in plain JSON types.

Nothing is pickled: a rank imports the function by its name, and gets JSON in and gives JSON out.
"""

import importlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from headrace.progress import Report

RankFunction = Callable[[dict[str, Any], Any, Report], dict[str, Any]]
"""Called with the payload, the ranks (`rank.collectives.Collectives`) and where to report."""


@dataclass(frozen=True)
class RankTask:
    """What every rank runs.

    Attributes:
        target: `module:function`, a `RankFunction`.
        payload: its first argument, plain JSON types.
        threads_per_rank: TensorFlow compute threads of a rank.
        collective_timeout: seconds the ranks wait for one that is frozen or cut off.
        step_timeout: seconds without progress of any rank after which all are ended; None for work
            that has no steps.
        ending_grace: seconds that ranks have to leave a checkpoint where all are to end.
        max_restarts: how often all ranks are started again where one died.
        restart_payload: keys of the payload that are others then.
        sizes: numbers of ranks that the work may go on with where a rank is lost or comes, from the
            smallest on; empty where it may not. The function then calls `Collectives.reform`.
        max_losses: how many ranks may be lost in all.
        environment: variables of the ranks' processes; they travel to other hosts unencrypted.
    """

    target: str
    payload: dict[str, Any]
    threads_per_rank: int = 1
    collective_timeout: int = 30
    step_timeout: int | None = None
    ending_grace: float = 5.0
    max_restarts: int = 0
    restart_payload: dict[str, Any] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    max_losses: int = 10
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def elastic(self) -> bool:
        return bool(self.sizes)

    def restarted(self) -> "RankTask":
        """As it is run again after a rank died."""
        return replace(self, payload={**self.payload, **self.restart_payload})

    def function(self) -> RankFunction:
        module, _, name = self.target.partition(":")
        found: RankFunction = getattr(importlib.import_module(module), name)
        return found

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "RankTask":
        return RankTask(**json.loads(text))
