"""A run is ended by what its block does, has what is logged to it, and never holds up the work."""

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run

from headrace.errors import PreemptedError
from headrace.progress import Progress
from headrace.recipe import Recipe
from headrace.recipe.parse import parse_yaml
from headrace.tracking.run import (
    TrackedRun,
    continue_run,
    make_artifact_folder,
    report_outage,
    resume_run,
    start_parent_run,
    start_run,
)
from headrace.tracking.store import Store
from tests.tiny import tiny_recipe


def read_run(store: Store, run_id: str) -> Run:
    return mlflow.MlflowClient(store.uri).get_run(run_id)


def test_a_run_that_ends_well_is_finished(store: Store) -> None:
    with start_run(store, "first") as run:
        assert read_run(store, run.run_id).info.status == "RUNNING"
    ended = read_run(store, run.run_id)
    assert (ended.info.status, ended.info.run_name) == ("FINISHED", "first")
    assert ended.data.tags["mlflow.source.name"] == "headrace"
    assert ended.data.tags["version.mlflow"] == mlflow.__version__
    assert ended.data.tags["version.petastorm"] == version("petastorm")


def test_a_package_that_is_not_installed_has_no_version(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_version(name: str) -> str:
        if name == "petastorm":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("headrace.tracking.run.version", find_version)
    with start_run(store, "first") as run:
        pass
    tags = read_run(store, run.run_id).data.tags
    assert "version.petastorm" not in tags
    assert tags["version.pyarrow"] == version("pyarrow")


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ValueError("at s3://me:pw@lake\nand more"), "FAILED", "ValueError: at s3://***@lake"),
        (PreemptedError("told to stop"), "KILLED", "PreemptedError: told to stop"),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt: "),
        (ValueError("x" * 600), "FAILED", "ValueError: " + "x" * 488),
    ],
)
def test_a_run_that_raises_has_the_error_s_first_line(
    store: Store, error: BaseException, status: str, text: str
) -> None:
    with pytest.raises(type(error)), start_run(store, "r") as run:
        raise error
    ended = read_run(store, run.run_id)
    assert (ended.info.status, ended.data.tags["headrace.error"]) == (status, text)


def test_parameters_are_flat_masked_and_limited(store: Store) -> None:
    tree = {
        "train": {"epochs": 2, "hidden": [8, 4], "none": None, "empty": {}},
        "spark": {"conf": {"fs.s3a.secret.key": "hunter2", "a=b": 1}},
        "long": "x" * 7000,
        **{f"p{number}": number for number in range(150)},  # more than MLflow takes at once
    }
    with start_run(store, "r") as run:
        run.log_params(tree)
    params = read_run(store, run.run_id).data.params
    assert len(params) == 4 + 2 + 1 + 150
    assert params["train.epochs"] == "2"
    assert params["train.hidden"] == "[8, 4]"
    assert (params["train.none"], params["train.empty"]) == ("None", "{}")
    assert params["spark.conf.fs.s3a.secret.key"] == "***"
    assert params["spark.conf.a_b"] == "1"
    assert params["long"] == "x" * 6000
    assert params["p149"] == "149"


def test_of_thousands_of_parameters_the_largest_sections_are_a_file(store: Store) -> None:
    """MLflow reads all parameters of a run at every request: so they are not without bound."""
    features = {f"x{i}": {"kind": "scaled", "fill": i} for i in range(1500)}
    tree = {
        "name": "wide", "features": features, "derive": {f"d{i}": i for i in range(1990)},
        "train": {"epochs": 2, "password": "abc"},
    }  # fmt: skip
    with start_run(store, "r") as run:
        requests = count_requests(run)
        run.log_params(tree)
        assert requests["params"] == 20
    logged = read_run(store, run.run_id).data
    assert len(logged.params) == 1993
    assert (logged.params["name"], logged.params["train.epochs"]) == ("wide", "2")
    assert logged.tags["headrace.params_left_out"] == "features (3,000); see recipe.yaml"


def test_a_recipe_is_logged_by_what_differs_from_its_defaults(store: Store, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "tracking.uri=http://me:hunter22@host")
    with start_run(store, "r") as run:
        run.log_recipe(recipe)
    params = read_run(store, run.run_id).data.params
    assert params["train.epochs"] == "2"
    assert not {"stream.readers", "train.accumulate"} & params.keys()
    empty = [name for name, value in params.items() if value in ("", "None", "{}", "[]")]
    assert empty == ["evaluate.gates"]  # which has others by default

    def read(path: str) -> str:
        uri = f"runs:/{run.run_id}/{path}"
        file = mlflow.artifacts.download_artifacts(artifact_uri=uri, tracking_uri=store.uri)
        return Path(file).read_text()

    assert "hunter22" not in read("recipe.yaml") + read("recipe.json")
    written = parse_yaml(read("recipe.yaml"))
    assert Recipe.model_validate(written) == tiny_recipe(tmp_path, "tracking.uri=http://***@host")
    assert json.loads(read("recipe.json"))["stream"]["readers"] == 1  # a default of then


def test_a_curve_goes_on_where_an_older_headrace_named_its_metrics_otherwise(store: Store) -> None:
    with start_run(store, "r") as run:
        run.log_metrics({"val_loss": 0.5}, 0)
        run.log_metrics({"val_loss": 0.4}, 1)
        run.log_metrics({"validation/loss": 0.4}, 1)
        run.log_metrics({"validation/loss": 0.3}, 2)
        assert run.read_curve("val_loss") == [(0, 0.5), (1, 0.4), (2, 0.3)]
        assert run.read_curve("train_loss") == []


def test_a_description_that_somebody_wrote_stays(store: Store) -> None:
    def read() -> str:
        return read_run(store, run.run_id).data.tags["mlflow.note.content"]

    with start_run(store, "r") as run:
        run.describe("of s3://me:pw@lake")
        assert read() == "of s3://***@lake"
        run.describe("judged")
        assert (read(), run.read_description()) == ("judged", "judged")
        client = mlflow.MlflowClient(store.uri)
        client.set_tag(run.run_id, "mlflow.note.content", "judged, and shipped")
        run.describe("judged again")
    assert read() == "judged, and shipped"


def test_a_long_description_ends_with_a_line(store: Store) -> None:
    """MLflow's database takes 5,000 characters."""
    with start_run(store, "r") as run:
        run.describe("\n".join(["- a gate"] * 900))
        said = run.read_description()
    assert 4900 < len(said) <= 5000
    assert said.endswith("- a gate\n\n… (the artifacts of the run have all of it)\n")


def count_requests(run: TrackedRun) -> Counter[str]:
    """Count the requests that log parameters from now on."""
    requests: Counter[str] = Counter()
    log_batch = run._client.log_batch

    def count_and_log(run_id: str, **values: Any) -> None:
        requests.update(values.keys())
        log_batch(run_id, **values)

    run._client.log_batch = count_and_log
    return requests


@pytest.mark.parametrize("columns", [1000, 2000, 4000])
def test_requests_for_parameters_grow_no_further_with_the_columns(columns: int) -> None:
    class Client:
        requests = 0

        def log_batch(self, run_id: str, params: Any = (), tags: Any = ()) -> None:
            self.requests += 1

        def log_text(self, run_id: str, text: str, path: str) -> None:
            self.requests += 1

    client = Client()
    store: Any = None
    tree = {"features": {f"x{i}": {"kind": "scaled", "fill": 0.5} for i in range(columns)}}
    TrackedRun(client, "run", store).log_params(tree)
    assert client.requests <= 22


def test_metrics_have_their_steps(store: Store) -> None:
    with start_run(store, "r") as run:
        run.log_metrics({"loss": 0.5, "acc": 0.25}, 1)
        run.log_metrics({"loss": 0.75}, 0)
        assert run.list_steps("loss") == {0, 1}
        assert run.read_history("loss") == [(0, 0.75), (1, 0.5)]
        assert run.read_history("acc") == [(1, 0.25)]
        assert run.list_steps("nothing") == set()


def test_the_dataset_is_the_run_s_input(store: Store) -> None:
    with start_run(store, "r") as run:
        run.log_dataset(
            name="tiny", root="s3://me:pw@lake/ds", version=3, digest="d" * 64, rows={"train": 7}
        )
    (given,) = read_run(store, run.run_id).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("tiny", "d" * 36)
    assert json.loads(given.dataset.source) == {
        "path": "s3://***@lake/ds", "delta_table_version": 3,
    }  # fmt: skip
    assert json.loads(given.dataset.profile) == {"rows": {"train": 7}, "digest": "d" * 64}


def test_a_text_is_an_artifact(store: Store, tmp_path: Path) -> None:
    with start_run(store, "r") as run, make_artifact_folder() as folder:
        run.log_text("é", "a/b.txt")
        file = mlflow.MlflowClient(store.uri).download_artifacts(run.run_id, "a/b.txt", str(folder))
        assert Path(file).read_text(encoding="utf-8") == "é"
    assert not folder.exists()


def test_a_short_run_has_one_sample_of_its_machine(store: Store) -> None:
    with start_run(store, "r") as run:
        stop = run.watch_machine()
        stop()
    metrics = read_run(store, run.run_id).data.metrics
    assert 0 <= metrics["system/cpu_utilization_percentage"] <= 100
    assert metrics["system/system_memory_usage_megabytes"] > 0


def test_a_resumed_run_stays_as_it_was_and_a_continued_one_ends_again(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), start_run(store, "r") as run:
        raise ZeroDivisionError
    with resume_run(store, run.run_id) as again:
        again.set_tags({"more": "yes"})
    resumed = read_run(store, run.run_id)
    assert (resumed.info.status, resumed.data.tags["more"]) == ("FAILED", "yes")
    with continue_run(store, run.run_id):
        assert read_run(store, run.run_id).info.status == "RUNNING"
    assert read_run(store, run.run_id).info.status == "FINISHED"


def test_a_run_is_below_its_parent(store: Store) -> None:
    below = Store(store.uri, store.experiment, store.registered_model, store.artifacts, "parent")
    with start_run(below, "r") as run:
        assert read_run(store, run.run_id).data.tags["mlflow.parentRunId"] == "parent"


@pytest.fixture
def dead_server() -> Iterator[str]:
    """An address where connections are refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and nobody listens
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def test_without_a_server_there_is_no_parent_run(
    dead_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    messages: list[Progress] = []
    began = time.monotonic()
    with start_parent_run(Store(dead_server, "e", "m", None), "r", "run", messages.append) as run:
        assert run is None
    assert len(messages) == 1
    assert messages[0].text.startswith("MLflow does not answer, the parent run is not recorded: ")
    assert time.monotonic() - began < 30  # MLflow by itself would try for minutes
    # the block's own requests are as patient as before
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_a_server_that_goes_away_does_not_fail_what_was_done(store: Store) -> None:
    messages: list[Progress] = []
    with start_parent_run(store, "r", "run", messages.append) as run:
        assert run is not None
        run._client = None  # every request fails
    assert len(messages) == 1


def test_an_error_of_the_work_is_the_error(store: Store) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        start_parent_run(store, "r", "run", lambda _: None) as run,
    ):
        assert run is not None
        raise ZeroDivisionError
    ended = read_run(store, run.run_id)
    assert ended.info.status == "FAILED"
    assert ended.data.tags["headrace.stage"] == "run"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("no route to http://me:pw@mlflow\nmore"), "no route to http://***@mlflow"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_an_outage_is_reported_on_one_line(error: Exception, reason: str) -> None:
    messages: list[Any] = []
    with report_outage(messages.append):
        raise error
    (message,) = messages
    assert message.text == f"MLflow does not answer, the parent run is not recorded: {reason}"
