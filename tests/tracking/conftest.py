"""An empty MLflow store for every test."""

from pathlib import Path

import pytest

from headrace.tracking.store import Store
from tests.mlflow_store import copy_empty_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of the test's own: experiment e, registered model m."""
    file = copy_empty_store(tmp_path / "m.db")
    return Store(f"sqlite:///{file}", "e", "m", f"file://{tmp_path}/a")
