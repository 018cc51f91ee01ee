"""From raw tables to a published dataset version, with Spark: read, clean, split, fit, write."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.prepare.run import Asked, Prepared, prepare

__all__ = ["Asked", "Prepared", "prepare"]


def __getattr__(name: str) -> Any:
    """Import the stage when it is asked for: Spark's Python workers need its kernels alone."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from headrace.prepare import run

    return getattr(run, name)
