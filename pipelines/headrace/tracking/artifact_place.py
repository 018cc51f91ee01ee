"""Say where an artifact of a run is, so that whoever reads it can open it."""

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from headrace.redaction import redact_text
from headrace.tracking.store import Store, open_client


def locate_artifact(store: Store, run_id: str, path: str) -> str:
    """Return where an artifact is: a path, the URL of an object, or of MLflow's page with it.

    Args:
        store: that the run is tracked in.
        run_id: of the run.
        path: of the artifact in the run.

    Raises:
        Exception: of MLflow; the server does not answer, or has no such run.
    """
    info = open_client(store).get_run(run_id).info
    address = urlsplit(info.artifact_uri)
    if address.scheme in ("", "file"):
        file = Path(unquote(address.path)) / path
        folder = Path.cwd()
        return str(file.relative_to(folder) if file.is_relative_to(folder) else file)
    if address.scheme == "mlflow-artifacts":  # which the server alone reads
        page = f"{info.experiment_id}/runs/{run_id}/artifacts/{quote(path)}"
        return f"{store.redacted_uri.rstrip('/')}/#/experiments/{page}"
    return f"{redact_text(info.artifact_uri).rstrip('/')}/{path}"
