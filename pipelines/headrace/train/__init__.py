"""Train a Keras model on a dataset version, on Horovod ranks, and register it with MLflow.

The way in is `run.train`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.train.run import Trained, train

__all__ = ["Trained", "train"]


def __getattr__(name: str) -> Any:
    """Import the stage when it is asked for: checkpoints are vacuumed where nothing trains."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from headrace.train import run

    return getattr(run, name)
