"""Evaluate a registered model: metrics, slices, plots, gates and a verdict; and promote it.

The ways in are `run.evaluate`, `promote.promote` and `promote.roll_back`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.evaluate.run import Evaluated, evaluate

__all__ = ["Evaluated", "evaluate"]


def __getattr__(name: str) -> Any:
    """Import the stage when it is asked for: `init` measures leaks, and has nothing that trains."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from headrace.evaluate import run

    return getattr(run, name)
