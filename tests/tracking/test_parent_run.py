"""A run for others to be shown below: the work goes on whatever the server says."""

import os
import socket
import time
from pathlib import Path

import pytest

from headrace.progress import Progress
from headrace.tracking.run import parent_run
from headrace.tracking.store import Store


def test_no_server_and_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    said: list[Progress] = []
    began = time.monotonic()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and nobody listens
        store = Store(f"http://127.0.0.1:{held.getsockname()[1]}", "e", "m", None)
        with parent_run(store, "r", "run", said.append) as run:
            assert run is None
    assert len(said) == 1
    assert said[0].text.startswith("MLflow does not answer, the run of the whole is not written")
    assert time.monotonic() - began < 30  # MLflow by itself would ask for minutes
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ  # what comes is as patient as before


def test_a_server_that_goes_away_does_not_fail_what_was_done(tmp_path: Path) -> None:
    said: list[Progress] = []
    store = Store(f"sqlite:///{tmp_path}/m.db", "e", "m", f"file://{tmp_path}/a")
    with parent_run(store, "r", "run", said.append) as run:
        assert run is not None
        run._client = None  # whatever is asked of it fails
    assert len(said) == 1


def test_an_error_of_the_work_is_the_error(tmp_path: Path) -> None:
    import mlflow

    store = Store(f"sqlite:///{tmp_path}/m.db", "e", "m", f"file://{tmp_path}/a")
    with (
        pytest.raises(ZeroDivisionError),
        parent_run(store, "r", "run", lambda _: None) as run,
    ):
        assert run is not None
        raise ZeroDivisionError
    found = mlflow.MlflowClient(store.uri).get_run(run.run_id)
    assert found.info.status == "FAILED"
    assert found.data.tags["headrace.stage"] == "run"
