"""An empty MLflow store per test, copied, because MLflow takes seconds to create one."""

import shutil
from pathlib import Path

import pytest

from headrace.tracking.database import open_database
from headrace.tracking.store import Store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables without a row; tests must copy the file."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    open_database(f"sqlite:///{file}")
    return file


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Store:
    """A store of the test's own: experiment e, registered model m."""
    shutil.copyfile(empty_database, tmp_path / "m.db")
    return Store(f"sqlite:///{tmp_path}/m.db", "e", "m", f"file://{tmp_path}/a")
