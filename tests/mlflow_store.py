"""Make MLflow's SQLite file once in a test run, and copy it: making it takes nine seconds."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

# The process that starts the workers is the first to import this; they inherit what it sets.
_RUN = os.environ.setdefault("HEADRACE_TESTS_RUN", str(os.getpid()))
_TEMPLATE = Path(tempfile.gettempdir()) / f"headrace-tests-{_RUN}" / "mlflow.db"


def copy_empty_store(file: Path) -> Path:
    """Put an empty store where there is none; returns its path."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_make_template(), file)
    return file


def remove_template() -> None:
    """Remove what this run made."""
    shutil.rmtree(_TEMPLATE.parent, ignore_errors=True)


def _make_template() -> Path:
    from headrace.tracking.database import open_database

    _TEMPLATE.parent.mkdir(exist_ok=True)
    with (_TEMPLATE.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _TEMPLATE.exists():
            open_database(f"sqlite:///{_TEMPLATE}")
    return _TEMPLATE
