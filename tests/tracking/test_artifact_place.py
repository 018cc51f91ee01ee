"""Where an artifact is said to be: a path that opens where it is a file, else an address."""

import os
from pathlib import Path

import pytest

from headrace.tracking.artifact_place import locate_artifact
from headrace.tracking.run import start_run
from headrace.tracking.store import Store
from tests.e2e.running import mlflow_server
from tests.mlflow_store import copy_empty_store
from tests.tiny import tiny_recipe


def log_report(store: Store) -> str:
    """Log a page; return the run's id."""
    with start_run(store, "a run") as run:
        run.log_text("<html>", "evaluation/test/report.html")
        return run.run_id


def test_of_a_store_in_a_folder_it_is_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workdir = tmp_path / "w d"
    copy_empty_store(workdir / "mlflow/mlflow.db")
    store = Store.from_recipe(tiny_recipe(tmp_path), str(workdir), {})
    run_id = log_report(store)
    place = locate_artifact(store, run_id, "evaluation/test/report.html")
    assert Path(place).read_text() == "<html>"
    monkeypatch.chdir(tmp_path)
    place = locate_artifact(store, run_id, "evaluation/test/report.html")
    assert place.startswith("w d/mlflow/")
    assert Path(place).read_text() == "<html>"


@pytest.mark.long
def test_of_a_server_that_keeps_artifacts_it_is_its_page(tmp_path: Path) -> None:
    with mlflow_server(tmp_path) as address:
        store = Store.from_recipe(
            tiny_recipe(tmp_path), str(tmp_path), {**os.environ, "MLFLOW_TRACKING_URI": address}
        )
        run_id = log_report(store)
        place = locate_artifact(store, run_id, "evaluation/test/report.html")
    assert place.startswith(f"{address}/#/experiments/")
    assert place.endswith(f"/runs/{run_id}/artifacts/evaluation/test/report.html")
