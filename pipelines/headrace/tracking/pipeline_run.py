"""Complete the run of a pipeline: what somebody wants to know first who opens it in MLflow.

Its stages have runs of their own below it. Without this they would have to be opened one by one.
"""

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from headrace.tracking.metric_names import name_metrics
from headrace.tracking.model import find_logged_model, find_model
from headrace.tracking.run import resume_run
from headrace.tracking.store import Store


def complete_pipeline_run(
    store: Store,
    run_id: str,
    *,
    metrics: Mapping[str, float],
    model_uri: str,
    copied: Mapping[str, str],
    texts: Mapping[str, str],
    tags: Mapping[str, str],
) -> str | None:
    """Log the outcome of all stages to the run of their pipeline, and return its page's address.

    Its description becomes that of the model's run.

    Args:
        store: where both are.
        run_id: of the pipeline's run.
        metrics: by the names that results have.
        model_uri: `models:/name/version`, which MLflow then shows as the run's output.
        copied: artifact of the model's run -> path in this one; one that is not there is left out.
        texts: further artifacts by path.
        tags: of the run.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    model = find_model(store, model_uri)
    with resume_run(store, run_id) as run, resume_run(store, model.run_id) as model_run:
        run.log_metrics(name_metrics(metrics))
        run.set_tags(tags)
        for path, text in texts.items():
            run.log_text(text, path)
        client: Any = run.client
        model_id = find_logged_model(client.get_model_version(model.name, str(model.version)))
        if model_id:
            with suppress(MlflowException, NotImplementedError):  # a server of before MLflow 3
                client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])
        folders = {source.rpartition("/")[0] for source in copied}
        there = {f.path for name in folders for f in client.list_artifacts(model.run_id, name)}
        with tempfile.TemporaryDirectory(prefix="headrace-report-") as folder:
            for source in [source for source in copied if source in there]:
                file = client.download_artifacts(model.run_id, source, folder)
                run.log_text(Path(file).read_text(encoding="utf-8"), copied[source])
        if text := model_run.read_description():
            run.describe(text)
        return run.url
