"""Which MLflow a run is recorded in, and a client for it.

The recipe's `tracking.uri` wins, then MLFLOW_TRACKING_URI, then SQLite and a folder below the
workdir, which needs no server.
"""

import logging
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.quiet import quiet_import
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.tracking.database import open_database

if TYPE_CHECKING:
    from mlflow import MlflowClient


def tracking_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """What ranks on other hosts have to know; credentials they have of their own."""
    uri = environment.get("MLFLOW_TRACKING_URI")
    return {"MLFLOW_TRACKING_URI": uri} if uri else {}


@dataclass(frozen=True)
class Store:
    """Where runs go.

    Attributes:
        uri: MLflow tracking and registry URI.
        experiment: name of the experiment.
        registered_model: name in the model registry.
        artifacts: folder for artifacts where the store has no server to say so, else `None`.
        parent: run below which new runs are shown.
    """

    uri: str
    experiment: str
    registered_model: str
    artifacts: str | None
    parent: str | None = None

    @staticmethod
    def of(recipe: Recipe, workdir: str, environment: Mapping[str, str]) -> "Store":
        """The store of a recipe; `environment` is normally `os.environ`."""
        settings = recipe.tracking
        uri = settings.uri or environment.get("MLFLOW_TRACKING_URI")
        artifacts = None
        if not uri:
            folder = Path(workdir).absolute() / "mlflow"
            folder.mkdir(parents=True, exist_ok=True)
            uri, artifacts = f"sqlite:///{folder}/mlflow.db", f"file://{folder}/artifacts"
        return Store(
            uri=uri,
            experiment=settings.experiment or recipe.name,
            registered_model=settings.registered_model or recipe.name,
            artifacts=artifacts,
        )

    @property
    def shown(self) -> str:
        """The URI without credentials, for people."""
        return redact_text(self.uri)

    def open_command(self) -> str:
        """The command that opens MLflow's pages on this store, or the address that has them."""
        if self.uri.startswith("http"):
            return f"open {self.shown}"
        mlflow = Path(sys.executable).with_name("mlflow")
        if mlflow.is_relative_to(Path.cwd()):
            mlflow = mlflow.relative_to(Path.cwd())
        return shlex.join([str(mlflow), "ui", "--backend-store-uri", self.shown])


def connect(store: Store) -> "MlflowClient":
    """Point mlflow at the store and keep it from printing; returns a client."""
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    with quiet_import():
        import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if store.artifacts is not None:
        open_database(store.uri)
    mlflow.set_tracking_uri(store.uri)
    mlflow.set_registry_uri(store.uri)
    return mlflow.MlflowClient()


def experiment_id(client: "MlflowClient", store: Store) -> str:
    """The experiment's id; it is made where it does not exist."""
    found = client.get_experiment_by_name(store.experiment)
    if found:
        return str(found.experiment_id)
    return str(client.create_experiment(store.experiment, artifact_location=store.artifacts))
