"""Headrace: lake to trained, registered model (Spark, Petastorm, Horovod, MLflow).

Importing the package costs nothing: every engine is imported where it is used, because a prepare
job must not pay for TensorFlow nor a rank for Spark. What notebooks use is imported at its first
use; `__init__.pyi` says for checkers of types what it is.
"""

import os
from importlib import import_module
from typing import Any

# Read by TensorFlow's C++ core and by Keras when they are first imported, never later.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

__version__ = "0.1.0"

__all__ = ["Dataset", "Model", "Report", "RowLedger", "RunResult", "__version__", "open", "run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("headrace.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
