"""Shared by all tests: the order they run in, one Spark session, and the lakes they read."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from headrace.examples.flights import ensure_flights_lake
from headrace.garbage import collect_rarely
from headrace.progress import ignore_progress
from headrace.recipe.sections import Spark
from tests.mlflow_store import remove_template
from tests.tiny import write_tiny_lake

_ADDRESSES = {"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"}
_INHERITED = _ADDRESSES & os.environ.keys()
# Of every JVM that tests start: they end before code that was optimised would pay.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1")

# Of `make mutate`: a mutant is killed by its test and not by a lucky example.
hypothesis.settings.register_profile("mutation", derandomize=True, deadline=None, database=None)
if os.environ.get("HYPOTHESIS_PROFILE"):
    hypothesis.settings.load_profile(os.environ["HYPOTHESIS_PROFILE"])

collect_rarely()  # as commands do: TensorFlow, Spark and MLflow are imported into one process

# Files are handed out in this order, and a worker that is done waits for the other.
_ORDER = {"long": 1, "e2e": 2, "spark": 3}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shard", metavar="K/N", help="run the K-th of N parts of the test files")
    parser.addoption(
        "--screenshots", metavar="FOLDER", help="write the pictures of docs/reports.md"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put unit tests first: what fails fast fails first. Short files are last."""
    if shard := config.getoption("--shard"):
        number, count = (int(word) for word in shard.split("/"))
        files = sorted({item.path for item in items})
        chosen = {path for i, path in enumerate(files) if i % count == number - 1}
        config.hook.pytest_deselected(items=[item for item in items if item.path not in chosen])
        items[:] = [item for item in items if item.path in chosen]
    items.sort(
        key=lambda item: max((_ORDER.get(m.name, 0) for m in item.iter_markers()), default=0)
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # the workers share it
        remove_template()


@pytest.fixture(autouse=True)
def own_mlflow() -> Iterator[None]:
    """What a test tells mlflow about its stores is forgotten afterwards."""
    yield
    for name in _ADDRESSES - _INHERITED:  # MLflow writes there what it is told
        os.environ.pop(name, None)
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


@pytest.fixture(autouse=True)
def started_spark(request: pytest.FixtureRequest) -> None:
    """Tests of Spark have the session from their beginning: `prepare` does without it otherwise."""
    if request.node.get_closest_marker("spark"):
        request.getfixturevalue("spark")


@pytest.fixture(scope="session")
def flights_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real flights lake."""
    folder = tmp_path_factory.mktemp("lakes") / "flights"
    ensure_flights_lake(str(folder), ignore_progress)
    return folder


@pytest.fixture
def tiny_lake(tmp_path: Path) -> Path:
    """A fresh copy of the tiny lake; a test may break it."""
    return write_tiny_lake(tmp_path / "lake")
