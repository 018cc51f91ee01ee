"""A function to be run by every rank, named and described in plain JSON types.

Nothing is pickled: a rank imports the function by its name, and gets JSON in and gives JSON out.
"""

import importlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipelines.progress import Report

if TYPE_CHECKING:  # it imports TensorFlow, which the launching process does not need
    from pipelines.distributed.collectives import Collectives

RankFunction = Callable[[dict[str, Any], "Collectives", Report], dict[str, Any]]


@dataclass(frozen=True)
class RankTask:
    """What every rank runs.

    Attributes:
        target: `module:function`, a `RankFunction`.
        payload: its first argument, plain JSON types.
        threads_per_rank: TensorFlow compute threads of a rank.
        collective_timeout: seconds the ranks wait for one that is frozen or cut off.
    """

    target: str
    payload: dict[str, Any]
    threads_per_rank: int = 1
    collective_timeout: int = 60

    def function(self) -> RankFunction:
        module, _, name = self.target.partition(":")
        found: RankFunction = getattr(importlib.import_module(module), name)
        return found

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "RankTask":
        return RankTask(**json.loads(text))
