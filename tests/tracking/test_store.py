"""The store of a recipe: the recipe's own, the environment's, or SQLite below the workdir."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.tracking.store import (
    PatientClient,
    Store,
    find_or_create_experiment,
    open_client,
)
from tests.tiny import tiny_recipe

SERVER = "http://me:pw@mlflow:5000"


def test_the_recipe_wins_over_the_environment(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, f"tracking.uri={SERVER}", "tracking.experiment=mine")
    store = Store.from_recipe(recipe, str(tmp_path), {"MLFLOW_TRACKING_URI": "http://other"})
    assert store == Store(SERVER, "mine", "tiny", None)
    assert store.redacted_uri == "http://***@mlflow:5000"


def test_the_environment_wins_over_the_workdir(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "tracking.registered_model=shops")
    store = Store.from_recipe(recipe, str(tmp_path), {"MLFLOW_TRACKING_URI": "http://other"})
    assert store == Store("http://other", "tiny", "shops", None)
    assert not (tmp_path / "mlflow").exists()


def test_without_a_server_it_is_below_the_workdir(tmp_path: Path) -> None:
    store = Store.from_recipe(tiny_recipe(tmp_path), str(tmp_path), {})
    folder = tmp_path / "mlflow"
    assert store == Store(
        f"sqlite:///{folder}/mlflow.db", "tiny", "tiny", f"file://{folder}/artifacts"
    )
    assert folder.is_dir()


def test_the_command_to_open_it_has_no_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Store(SERVER, "e", "m", None).format_open_command() == "open http://***@mlflow:5000"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    local = Store("sqlite:////data/my folder/m.db", "e", "m", "file:///data/a")
    expected = ".venv/bin/mlflow ui --backend-store-uri 'sqlite:////data/my folder/m.db'"
    assert local.format_open_command() == expected


def test_an_experiment_is_created_once(store: Store) -> None:
    client = open_client(store)
    experiment = find_or_create_experiment(client, store)
    assert find_or_create_experiment(client, store) == experiment
    assert client.get_experiment(experiment).artifact_location == store.artifacts


def test_an_experiment_is_one_of_training_unless_somebody_said_otherwise(store: Store) -> None:
    client, kind = open_client(store), "mlflow.experimentKind"
    own = client.create_experiment("own", store.artifacts, {kind: "genai_development"})
    untagged = client.create_experiment("untagged", store.artifacts)
    ids = [
        find_or_create_experiment(client, replace(store, experiment=name))
        for name in ("own", "untagged", "new")
    ]
    assert ids[:2] == [own, untagged]
    kinds = [client.get_experiment(number).tags[kind] for number in ids]
    assert kinds == ["genai_development", *["custom_model_development"] * 2]


@pytest.mark.parametrize(
    ("uri", "base"),
    [
        ("http://mlflow:5000", "http://mlflow:5000/"),
        ("http://me:p@ss/w@mlflow:5000/", "http://mlflow:5000/"),
        ("https://host/a/b?token=abc", "https://host/a/b/"),
        ("sqlite:////data/m.db", "http://127.0.0.1:5000/"),
        ("postgresql+psycopg2://me:pw@db/mlflow", "http://127.0.0.1:5000/"),
        ("file:///data/mlruns", "http://127.0.0.1:5000/"),
        ("./mlruns", "http://127.0.0.1:5000/"),
        ("databricks", None),
        ("databricks://profile", None),
    ],
)
def test_the_address_of_a_run(uri: str, base: str | None) -> None:
    url = Store(uri, "e", "m", None).format_run_url("3", "abc")
    page = "#/experiments/3/runs/abc?workflowType=machine_learning"
    assert url == (f"{base}{page}" if base else None)


def test_a_store_is_not_taken_for_the_next_recipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow writes the addresses that it is told into the environment."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    first = Store.from_recipe(tiny_recipe(tmp_path), str(tmp_path / "a"), os.environ)
    open_client(first)
    second = Store.from_recipe(tiny_recipe(tmp_path), str(tmp_path / "b"), os.environ)
    assert second.uri == f"sqlite:///{tmp_path}/b/mlflow/mlflow.db"
    assert second.registry_uri is None


def test_the_registry_is_the_recipes_then_the_environments_then_the_store(tmp_path: Path) -> None:
    environment = {"MLFLOW_TRACKING_URI": "http://t", "MLFLOW_REGISTRY_URI": "http://r"}
    recipe = tiny_recipe(tmp_path)
    assert Store.from_recipe(recipe, str(tmp_path), environment).registry_uri == "http://r"
    uc = tiny_recipe(tmp_path, "tracking.registry_uri=databricks-uc")
    assert Store.from_recipe(uc, str(tmp_path), environment).registry_uri == "databricks-uc"
    assert Store.from_recipe(recipe, str(tmp_path), {}).registry_uri is None


def test_the_experiment_is_the_recipes_then_the_environments_then_its_name(tmp_path: Path) -> None:
    environment = {"MLFLOW_EXPERIMENT_NAME": "team"}
    recipe, own = tiny_recipe(tmp_path), tiny_recipe(tmp_path, "tracking.experiment=own")
    assert Store.from_recipe(recipe, str(tmp_path), environment).experiment == "team"
    assert Store.from_recipe(own, str(tmp_path), environment).experiment == "own"
    assert Store.from_recipe(recipe, str(tmp_path), {}).experiment == "tiny"


def test_a_patient_client_waits_at_every_call_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Evaluation and promotion have hours behind them, too."""
    outcomes = iter([ConnectionResetError("gone"), TimeoutError("late"), "run"])

    class Client:
        def get_run(self, run_id: str) -> str:
            outcome = next(outcomes)
            if isinstance(outcome, Exception):
                raise outcome
            return f"{outcome} {run_id}"

        def delete_run(self, run_id: str) -> None:
            raise PermissionError(13, "Permission denied")

    client = PatientClient(Client())  # type: ignore[arg-type]
    assert client.get_run("7") == "run 7"
    # A thread of another test may log, too.
    said = [record.getMessage() for record in caplog.records if record.name == "headrace"]
    assert said == ["MLflow does not answer, waiting for it: gone"]
    with pytest.raises(PermissionError):
        client.delete_run("7")
