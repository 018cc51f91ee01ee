"""Trainings with a tracking store that is not as it should be: a real server, and SQLite.

Faults that last are told after the first step, with what to do; faults that pass are survived at
every call, and nothing of the run is lost.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.tracking.store import Store, open_client
from tests.e2e.faulty_proxy import Fault, faulty_proxy
from tests.e2e.running import Done, headrace, mlflow_server, prepared_tiny
from tests.tiny import tiny_tree

pytestmark = [pytest.mark.e2e, pytest.mark.long]

API = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    prepared_tiny(folder, tiny_tree())
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    (folder / "server").mkdir()
    with mlflow_server(folder / "server") as address:
        yield address


def train(folder: Path, workdir: Path, *options: str, **environment: str) -> Done:
    recipe = str(folder / "tiny.yaml")
    return headrace("train", recipe, "--workdir", str(workdir), "--json", *options, **environment)


def client_of(uri: str) -> Any:
    return open_client(Store(uri, "tiny", "tiny", None))


def delete_experiment(uri: str) -> tuple[str, ...]:
    client = client_of(uri)
    client.delete_experiment(client.create_experiment("gone"))
    return ("--set", "tracking.experiment=gone")


def forbid_artifacts(uri: str) -> tuple[str, ...]:
    client_of(uri).create_experiment("nowhere", artifact_location="file:///proc/artifacts")
    return ("--set", "tracking.experiment=nowhere")


def take_the_name(uri: str) -> tuple[str, ...]:
    client_of(uri).register_prompt("taken", "text")
    return ("--set", "tracking.registered_model=taken")


# On the server: what is done to it, and what is said.
ON_SERVER: dict[str, tuple[Callable[[str], tuple[str, ...]], str]] = {
    "experiment deleted": (delete_experiment, "mlflow experiments restore"),
    "artifacts not writable": (forbid_artifacts, "an artifact cannot be written"),
    "name of a prompt": (take_the_name, "set tracking.registered_model"),
    "registry without scheme": (
        lambda _: ("--set", "tracking.registry_uri=localhost:5000"), "with its scheme"),
    "address of a page": (
        lambda uri: ("--set", f"tracking.uri={uri}/experiments"), "not as MLflow does"),
    "https to http": (
        lambda uri: ("--set", f"tracking.uri={uri.replace('http', 'https')}"), "https"),
}  # fmt: skip


def refused(done: Done, says: str, began: float) -> None:
    """A fault that lasts was told in time, and no epoch was trained."""
    assert done.code == 1, done.err
    assert says in done.err
    assert "Traceback" not in done.err
    assert "epoch 1 of" not in done.err
    # Python, TensorFlow and MLflow are imported first; that alone takes up to 20 s here.
    assert time.monotonic() - began < 45


@pytest.mark.parametrize("fault", ON_SERVER)
def test_a_fault_of_the_server_that_lasts(
    fault: str, folder: Path, server: str, tmp_path: Path
) -> None:
    spoil, says = ON_SERVER[fault]
    options = spoil(server)
    began = time.monotonic()
    refused(train(folder, tmp_path, *options, MLFLOW_TRACKING_URI=server), says, began)


@pytest.mark.parametrize(("status", "says"), [("401", "MLFLOW_TRACKING_TOKEN"), ("403", "right")])
def test_rights_that_are_missing(
    status: str, says: str, folder: Path, server: str, tmp_path: Path
) -> None:
    with faulty_proxy(server, Fault(status, "mlflow-artifacts", 1e6)) as proxy:
        began = time.monotonic()
        refused(train(folder, tmp_path, MLFLOW_TRACKING_URI=proxy), says, began)


def write_junk(file: Path) -> None:
    file.write_text("no database " * 500)


def age_schema(file: Path) -> None:
    client_of(f"sqlite:///{file}").search_experiments()
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = '000000000000'")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(write_junk, "file is not a database"), (age_schema, "mlflow db upgrade")],
    ids=["no database", "another schema"],
)
def test_a_database_that_cannot_be_used(
    spoil: Callable[[Path], None], says: str, folder: Path, tmp_path: Path
) -> None:
    spoil(tmp_path / "m.db")
    began = time.monotonic()
    done = train(folder, tmp_path / "w", MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/m.db")
    refused(done, says, began)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("localhost:5000", "with its scheme"),
        ("sqlite:////proc/m.db", "right to write"),
        ("mysql://127.0.0.1:9/db", "driver"),
    ],
)
def test_an_address_that_leads_nowhere(uri: str, says: str, folder: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    refused(train(folder, tmp_path, MLFLOW_TRACKING_URI=uri), says, began)


def test_a_run_that_was_deleted_meanwhile(folder: Path, server: str, tmp_path: Path) -> None:
    """The first training ends before it registers: its model's name is taken then."""
    fault = Fault("403", f"POST {API}/model-versions/create", 1e6)
    with faulty_proxy(server, fault) as proxy:
        first = train(folder, tmp_path, MLFLOW_TRACKING_URI=proxy)
        assert first.code == 1
        assert "403" in first.err
        client = client_of(server)
        experiment = client.get_experiment_by_name("tiny").experiment_id
        (run,) = client.search_runs([experiment], order_by=["start_time DESC"], max_results=1)
        client.delete_run(run.info.run_id)
    began = time.monotonic()
    second = train(folder, tmp_path, MLFLOW_TRACKING_URI=server)
    refused(second, "mlflow runs restore", began)
    client.restore_run(run.info.run_id)
    third = train(folder, tmp_path, MLFLOW_TRACKING_URI=server)
    assert third.code == 0, third.err
    assert third.result["run_id"] == run.info.run_id


PASSING = {
    "busy as the run is created": Fault("503", f"POST {API}/runs/create", 6),
    "too many metrics": Fault("429", f"POST {API}/runs/log-batch", 6),
    "cut off while the model is uploaded": Fault("reset", "PUT /api/2.0/mlflow-artifacts", 6),
    "the answer about the version is lost": Fault(
        "lost", f"POST {API}/model-versions/create", 0.1),
    "metrics hang": Fault("hang", f"POST {API}/runs/log-batch", 25),
    "broken as the run ends": Fault("500", f"POST {API}/runs/update", 12),
    "away for a while at registering": Fault("reset", "registered-models/create", 20),
}  # fmt: skip


def complete(done: Done, uri: str, name: str) -> None:
    """Everything of the training is there, once."""
    assert done.code == 0, done.err
    client = client_of(uri)
    run = client.get_run(done.result["run_id"])
    assert run.info.status == "FINISHED"
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "validation/loss")]
    assert sorted(set(steps)) == [0, 1]
    assert len(client.search_model_versions(f"name = '{name}'")) == 1


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_of_the_server_that_passes(
    fault: str, folder: Path, server: str, tmp_path: Path
) -> None:
    name = fault.replace(" ", "-")
    with faulty_proxy(server, PASSING[fault]) as proxy:
        options = ("--set", f"tracking.registered_model={name}")
        done = train(folder, tmp_path, *options, MLFLOW_TRACKING_URI=proxy)
    assert PASSING[fault].hits
    complete(done, server, name)


def test_a_database_that_is_locked_for_a_while(folder: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/m.db"
    client_of(uri).search_experiments()
    stop = threading.Event()

    def lock_now_and_then() -> None:
        with sqlite3.connect(tmp_path / "m.db", isolation_level=None, timeout=60) as database:
            while not stop.wait(1.0):
                database.execute("BEGIN EXCLUSIVE")
                time.sleep(7)  # longer than SQLite waits
                database.execute("COMMIT")

    thread = threading.Thread(target=lock_now_and_then)
    thread.start()
    try:
        done = train(folder, tmp_path / "w", MLFLOW_TRACKING_URI=uri)
    finally:
        stop.set()
        thread.join()
    complete(done, uri, "tiny")
