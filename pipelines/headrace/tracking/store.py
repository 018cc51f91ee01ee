"""Choose the MLflow store that runs are recorded in, and open a client for it.

The recipe's `tracking.uri` wins, then MLFLOW_TRACKING_URI, then SQLite and a folder below the
workdir, which needs no server. The model registry is the same store, unless `tracking.registry_uri`
or MLFLOW_REGISTRY_URI names another one.
"""

import contextlib
import functools
import logging
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from headrace.errors import ModelError, get_first_line
from headrace.garbage import pause_collection
from headrace.progress import Progress
from headrace.quiet import ignore_warnings
from headrace.recipe import Recipe
from headrace.redaction import MASK, redact_text
from headrace.tracking.database import DATABASES, open_database, probe_database
from headrace.tracking.environment import (
    find_experiment,
    find_registry_uri,
    find_tracking_uri,
    keep_addresses,
    silence_mlflow,
)
from headrace.tracking.faults import find_fix, wait_out

if TYPE_CHECKING:
    from mlflow import MlflowClient

# What MLflow's pages show of an experiment: runs and their charts, and not traces of agents.
_IS_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
# Address of `mlflow ui` where nothing else is said.
_LOCAL_PAGES = "http://127.0.0.1:5000"


@dataclass(frozen=True)
class Store:
    """An MLflow store, and the names under which a recipe's runs and models are in it.

    Attributes:
        uri: MLflow tracking URI.
        experiment: name of the experiment.
        registered_model: name in the model registry.
        artifacts: folder of the artifacts where no server decides it, else None.
        parent: id of the run that new runs are shown below.
        registry_uri: MLflow registry URI; None where it is the tracking URI.
    """

    uri: str
    experiment: str
    registered_model: str
    artifacts: str | None
    parent: str | None = None
    registry_uri: str | None = None

    @staticmethod
    def from_recipe(recipe: Recipe, workdir: str, environment: Mapping[str, str]) -> "Store":
        """Return the store of a recipe; `environment` is normally `os.environ`."""
        settings = recipe.tracking
        uri = find_tracking_uri(settings.uri, environment)
        artifacts = None
        if not uri:
            folder = Path(workdir).absolute() / "mlflow"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            uri, artifacts = f"sqlite:///{folder}/mlflow.db", f"file://{folder}/artifacts"
        return Store(
            uri=uri,
            experiment=find_experiment(settings.experiment, environment) or recipe.name,
            registered_model=settings.registered_model or recipe.name,
            artifacts=artifacts,
            registry_uri=find_registry_uri(settings.registry_uri, environment),
        )

    def describe_addresses(self) -> str:
        """Return the URIs without credentials, and where they come from."""
        text = f"{self.redacted_uri} (tracking.uri, or MLFLOW_TRACKING_URI)"
        if self.registry_uri:
            registry = redact_text(self.registry_uri)
            text += f" with registry {registry} (tracking.registry_uri, or MLFLOW_REGISTRY_URI)"
        return text

    @property
    def redacted_uri(self) -> str:
        """Return the URI without credentials, to be shown."""
        return redact_text(self.uri)

    def format_open_command(self) -> str:
        """Return the command that opens MLflow's pages on this store, or on their address."""
        if self.uri.startswith("http"):
            return f"open {self.redacted_uri}"
        mlflow = Path(sys.executable).with_name("mlflow")
        if mlflow.is_relative_to(Path.cwd()):
            mlflow = mlflow.relative_to(Path.cwd())
        return shlex.join([str(mlflow), "ui", "--backend-store-uri", self.redacted_uri])

    def format_run_url(self, experiment_id: str, run_id: str) -> str | None:
        """Return the address of a run's page in the part of MLflow that is about training.

        Of a store without a server it is that of `mlflow ui`, as `format_open_command` starts it.
        Without `workflowType` MLflow opens its pages for generative models, which have no such run.

        Args:
            experiment_id, run_id: of the run.

        Returns:
            The address without credentials; None where an id is empty, or where the address depends
            on a service's own configuration (`databricks`, for example).
        """
        if not (experiment_id and run_id):
            return None
        scheme, separator, _ = self.uri.partition("://")
        if scheme in ("http", "https"):
            base = self.redacted_uri.replace(f"{MASK}@", "").partition("?")[0].rstrip("/")
        elif scheme.partition("+")[0] in (*DATABASES, "file") or not (
            separator or self.uri.startswith("databricks")
        ):
            base = _LOCAL_PAGES
        else:
            return None
        page = f"{quote(experiment_id, safe='')}/runs/{quote(run_id, safe='')}"
        return f"{base}/#/experiments/{page}?workflowType=machine_learning"


def open_client(store: Store) -> "MlflowClient":
    """Open a client for the store, point mlflow's fluent functions at it, and silence mlflow.

    Raises:
        ModelError: MLflow has no store of that kind, lacks its driver, or cannot open it.
    """
    silence_mlflow()
    with ignore_warnings(), pause_collection():
        import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if store.artifacts is not None:
        open_database(store.uri)
    with keep_addresses():
        mlflow.set_tracking_uri(store.uri)
        mlflow.set_registry_uri(store.registry_uri or store.uri)
    try:
        for uri in {store.uri, store.registry_uri or store.uri}:
            probe_database(uri)
        with pause_collection():  # it imports the modules of its stores
            return mlflow.MlflowClient()
    except Exception as error:  # of MLflow, SQLAlchemy, a driver, an import
        reason = redact_text(get_first_line(error) or type(error).__name__)[:300]
        raise ModelError(
            f"MLflow cannot use {store.describe_addresses()}: {type(error).__name__}: {reason}; "
            f"{find_fix(f'{type(error).__name__} {error}')}"
        ) from error


class PatientClient:
    """An MLflow client of which every call waits for faults that pass.

    Not for calls that make something: one whose answer is lost would make it twice.
    """

    def __init__(self, client: "MlflowClient") -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        @functools.wraps(method)
        def call_patiently(*values: Any, **options: Any) -> Any:
            return wait_out(lambda: method(*values, **options), log_waiting)

        return call_patiently


def open_patient_client(store: Store) -> Any:
    """Open a client whose calls wait for a server that does not answer; see `PatientClient`.

    Raises:
        ModelError: see `open_client`.
    """
    return PatientClient(wait_out(lambda: open_client(store), log_waiting))


def log_waiting(progress: Progress) -> None:
    """Log that a server is waited for: the `Report` of callers that have none."""
    logging.getLogger("headrace").warning(progress.text)


def find_or_create_experiment(client: "MlflowClient", store: Store) -> str:
    """Return the experiment's id; create the experiment where it does not exist.

    Raises:
        ModelError: it was deleted.
    """
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(store.experiment)
    if experiment is None:
        try:
            return str(client.create_experiment(store.experiment, store.artifacts, _IS_TRAINING))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(store.experiment)  # of another process
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        number = experiment.experiment_id
        raise ModelError(
            f"experiment {store.experiment} in {store.redacted_uri} was deleted; restore it "
            f"(MLFLOW_TRACKING_URI={store.redacted_uri} mlflow experiments restore "
            f"--experiment-id {number}), or set tracking.experiment to another name"
        )
    for key, value in _IS_TRAINING.items():
        if key not in experiment.tags:  # one of an older Headrace, or of the user
            with contextlib.suppress(MlflowException):  # that may not be changed
                client.set_experiment_tag(experiment.experiment_id, key, value)
    return str(experiment.experiment_id)
