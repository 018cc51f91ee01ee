"""Read artifacts and models of a store without telling MLflow which store is the process's own.

So a notebook's own tracking address and active run stay what they are.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headrace.errors import ModelError, get_first_line
from headrace.quiet import ignore_warnings
from headrace.redaction import redact_text
from headrace.tracking.environment import hide_progress_bars
from headrace.tracking.model import find_logged_model
from headrace.tracking.store import Store


def read_run_text(store: Store, run_id: str, path: str) -> str:
    """Read an artifact of a run as text.

    Of a workdir's own store it is read from the folder, without MLflow, whose import takes seconds.

    Raises:
        ModelError: it is not there, or the store does not answer.
    """
    if store.artifacts:
        folder = Path(store.artifacts.removeprefix("file://"))
        file = folder / quote(run_id, safe="") / "artifacts" / path
        if file.is_file():
            return file.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="headrace-artifact-") as target:
        found = _download(store, f"runs:/{run_id}/{path}", target)
        return Path(found).read_text(encoding="utf-8")


def load_pyfunc_model(store: Store, uri: str, folder: str) -> Any:
    """Load a registered model as a function of raw rows, an `mlflow.pyfunc.PyFuncModel`.

    Args:
        store: that it is registered in.
        uri: `models:/NAME/VERSION`.
        folder: its files are downloaded to it, and have to stay there.

    Raises:
        ModelError: there is no such model, or the store does not answer.
    """
    with _explain_faults(store, uri):
        location = _locate_model(store, uri)
    path = _download(store, location, folder)
    with ignore_warnings():
        import mlflow.pyfunc

        return mlflow.pyfunc.load_model(path)


def _locate_model(store: Store, uri: str) -> str:
    """Return where a model's files are: MLflow itself would ask the process's own registry."""
    with ignore_warnings():
        import mlflow

    client = mlflow.MlflowClient(store.uri, store.registry_uri or store.uri)
    name, _, number = uri.removeprefix("models:/").rpartition("/")
    model_id = find_logged_model(client.get_model_version(name, number))
    return str(client.get_logged_model(model_id).artifact_location) if model_id else uri


def _download(store: Store, uri: str, folder: str) -> str:
    with _explain_faults(store, uri), ignore_warnings(), hide_progress_bars():
        import mlflow.artifacts

        return str(
            mlflow.artifacts.download_artifacts(
                artifact_uri=uri,
                dst_path=folder,
                tracking_uri=store.uri,
                registry_uri=store.registry_uri or store.uri,
            )
        )


@contextmanager
def _explain_faults(store: Store, uri: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of MLflow, its stores' clients, the system
        reason = redact_text(get_first_line(error) or type(error).__name__)[:300]
        raise ModelError(f"{uri} cannot be read from {store.redacted_uri}: {reason}") from error
