"""Describe the function that every rank runs, in plain JSON types.

Nothing is pickled: a rank imports the function by its name, gets JSON and returns JSON. How the
ranks are started and watched is left to `launchers/` and `supervise/`.
"""

import importlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from headrace.errors import RankError
from headrace.progress import Report

RankFunction = Callable[[dict[str, Any], Any, Report], dict[str, Any]]
"""Called with the payload, the rank's `rank.collectives.Collectives` and where to report."""


SENT_VARIABLES = frozenset({"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_NAME"})
"""Variables that a task may set on another host; none of them has anything run."""
_OWN_PACKAGE = "headrace."


@dataclass(frozen=True)
class RankTask:
    """The task of a run: a function, its payload, and the limits that the ranks run under.

    Attributes:
        target: `module:function`, a `RankFunction`.
        payload: its first argument, plain JSON types.
        collectives: what the ranks communicate by, `horovod` or `tensorflow`.
        threads_per_rank: TensorFlow compute threads of a rank.
        collective_timeout: seconds that ranks wait for one that is frozen or cut off.
        step_timeout: seconds without progress of any rank after which all are terminated; None for
            work that has no steps.
        ending_grace: seconds that ranks have to write a checkpoint when the run is terminated.
        max_restarts: how often all ranks are started again after one died.
        restart_payload: keys of the payload that are replaced then.
        sizes: numbers of ranks, ascending, that the work can go on with when a rank is lost or
            joins; empty if the run is not elastic. The function then calls
            `Collectives.join_next_generation`.
        max_losses: how many ranks may be lost in all.
        environment: variables of the ranks' processes; other hosts take `SENT_VARIABLES` alone.
    """

    target: str
    payload: dict[str, Any]
    collectives: str = "horovod"
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
    def is_elastic(self) -> bool:
        return bool(self.sizes)

    def check_received(self) -> None:
        """Check a task from another host: that it runs what is this package's alone.

        Raises:
            RankError: its target is elsewhere, or it sets other variables than `SENT_VARIABLES`.
        """
        if not self.target.startswith(_OWN_PACKAGE):
            raise RankError(f"the supervisor wants {self.target!r} to run, which is not headrace's")
        if others := sorted(self.environment.keys() - SENT_VARIABLES):
            raise RankError(
                f"the supervisor wants to set {', '.join(others)} in the environment of a rank, "
                f"and only {', '.join(sorted(SENT_VARIABLES))} is taken"
            )

    def build_restart(self) -> "RankTask":
        """Return the task as it runs again after a rank died, with `restart_payload` applied."""
        return replace(self, payload={**self.payload, **self.restart_payload})

    def import_function(self) -> RankFunction:
        """Import the target's module and return the function."""
        module, _, name = self.target.partition(":")
        function: RankFunction = getattr(importlib.import_module(module), name)
        return function

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "RankTask":
        return RankTask(**json.loads(text))
