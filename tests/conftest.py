"""Shared by all tests: the order they run in, one Spark session, and the lakes they read."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.examples.flights import write_flights_lake
from headrace.progress import silent
from headrace.recipe.sections import Spark
from tests.tiny import write_tiny_lake

# Of every JVM that tests start: they end before code that was optimised would pay.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1")

_ORDER = {"spark": 1, "e2e": 2, "long": 3}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests first, then those on Spark, end-to-end tests last: what fails fast fails first."""
    items.sort(
        key=lambda item: max((_ORDER.get(m.name, 0) for m in item.iter_markers()), default=0)
    )


@pytest.fixture(autouse=True)
def own_mlflow() -> Iterator[None]:
    """What a test tells mlflow about its stores is forgotten afterwards."""
    yield
    if "mlflow" in sys.modules:
        import mlflow

        mlflow.set_registry_uri("")
        mlflow.set_tracking_uri("")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """The one Spark session of the test run."""
    from headrace.spark_session import spark_session, stop_own_session

    scratch = tmp_path_factory.mktemp("spark")
    session = spark_session(Spark(master="local[2]"), app_name="tests", scratch=str(scratch))
    yield session
    stop_own_session()


@pytest.fixture(scope="session")
def flights_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real flights lake."""
    folder = tmp_path_factory.mktemp("lakes") / "flights"
    write_flights_lake(str(folder), silent)
    return folder


@pytest.fixture
def tiny_lake(tmp_path: Path) -> Path:
    """A fresh copy of the tiny lake; a test may break it."""
    return write_tiny_lake(tmp_path / "lake")
