"""Check an MLflow store before hours of work depend on it: what would not pass by itself.

A check tries what the work will do: it looks the experiment up, continues the run, writes an
artifact, asks the registry. What passes by itself (a server that restarts) is no finding here; the
caller waits for it when it is needed.
"""

import contextlib
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import ModelError
from headrace.tracking.faults import describe_obstacle, explain_fault, is_passing
from headrace.tracking.store import Store, find_or_create_experiment, open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient


def check_store(store: Store, *, run_id: str | None = None, registers: bool = True) -> str:
    """Check experiment, run, artifacts and registry, as far as the store answers.

    The experiment and the registered model are created where they do not exist: whether they may
    be is part of the question.

    Args:
        store: store of the work.
        run_id: run that will be continued; None where a new one is started.
        registers: whether a model will be registered.

    Returns:
        why the store could not be asked, where that will pass by itself; "" where all is well.

    Raises:
        ModelError: something will not pass by itself; it says what to do.
    """
    doing = "MLflow cannot be used"
    try:
        client = open_client(store)
        doing = f"experiment {store.experiment} cannot be used"
        experiment_id = find_or_create_experiment(client, store)
        if run_id:
            doing = f"run {run_id} cannot be continued"
            check_run(client, store, run_id)
        doing = "an artifact cannot be written"
        check_artifacts(client, experiment_id)
        if registers:
            doing = f"model {store.registered_model} cannot be registered"
            check_registry(client, store)
    except Exception as error:  # of MLflow, SQLAlchemy, requests, a store's client
        if is_passing(error):
            return describe_obstacle(error)
        raise ModelError(explain_fault(error, doing, store.describe_addresses())) from error
    return ""


def check_run(client: "MlflowClient", store: Store, run_id: str) -> None:
    """Check that a run can be continued.

    Raises:
        ModelError: it was deleted, or there is none.
    """
    from mlflow.exceptions import MlflowException

    fix = "or begin anew with --resume never"
    try:
        info = client.get_run(run_id).info
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise ModelError(
            f"run {run_id}, which this training continues, is not in {store.redacted_uri}; name "
            f"the store that it was begun in (tracking.uri, MLFLOW_TRACKING_URI), {fix}"
        ) from None
    if info.lifecycle_stage == "deleted":
        raise ModelError(
            f"run {run_id}, which this training continues, was deleted from {store.redacted_uri}; "
            f"restore it (MLFLOW_TRACKING_URI={store.redacted_uri} mlflow runs restore --run-id "
            f"{run_id}), {fix}"
        )


def check_artifacts(client: "MlflowClient", experiment_id: str) -> None:
    """Write a small file where the experiment's artifacts go, and remove it where that is possible.

    Raises:
        Exception: of the artifact store, which refuses it.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    location = client.get_experiment(experiment_id).artifact_location
    repository: Any = get_artifact_repository(location)
    name = f"headrace-check-{uuid.uuid4().hex}.txt"
    with tempfile.TemporaryDirectory(prefix="headrace-check-") as folder:
        file = Path(folder) / name
        file.write_text("Headrace wrote this file to see whether it may.\n", encoding="utf-8")
        repository.log_artifact(str(file))
    with contextlib.suppress(Exception):  # not every store can: a file of 48 bytes stays
        repository.delete_artifacts(name)


def check_registry(client: "MlflowClient", store: Store) -> None:
    """Check that versions of the registered model can be made; create the model where it is new.

    Raises:
        ModelError: the name is a prompt's.
        Exception: of the registry, which refuses it.
    """
    from mlflow.exceptions import MlflowException

    name = store.registered_model
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        if not _is_model(client, name):
            raise ModelError(
                f"{name} in {store.redacted_uri} is the name of a prompt; set "
                "tracking.registered_model to another name"
            ) from None


def _is_model(client: "MlflowClient", name: str) -> bool:
    """Return whether a name that exists is a model's; MLflow finds no prompt by it."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True
