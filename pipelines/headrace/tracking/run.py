"""One MLflow run: parameters, metrics, the dataset it read, artifacts, and its model version."""

import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headrace.errors import PreemptedError
from headrace.progress import Progress, Report
from headrace.provenance import find_git_commit
from headrace.redaction import redact
from headrace.tracking.store import Store, connect, experiment_id

_PARAM_LIMIT = 6000  # MLflow's limit for a value, in characters


class TrackedRun:
    """A run that exists; closed by the context manager that made it."""

    def __init__(self, client: Any, run_id: str, store: Store) -> None:
        self._client, self.run_id, self.store = client, run_id, store

    def params(self, tree: Mapping[str, Any]) -> None:
        """Log nested plain values as flat parameters, `train.epochs` and so on, secrets masked."""
        from mlflow.entities import Param

        flat = [(key, str(value)[:_PARAM_LIMIT]) for key, value in _flatten(redact(dict(tree)))]
        for start in range(0, len(flat), 100):  # MLflow takes 100 a request
            self._client.log_batch(
                self.run_id, params=[Param(k, v) for k, v in flat[start : start + 100]]
            )

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log metrics of a step (an epoch in training)."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        batch = [Metric(name, float(value), now, step) for name, value in values.items()]
        self._client.log_batch(self.run_id, metrics=batch)

    def steps_of(self, metric: str) -> set[int]:
        """The steps for which a metric is logged."""
        return {found.step for found in self._client.get_metric_history(self.run_id, metric)}

    def history(self, metric: str) -> list[tuple[int, float]]:
        """A metric's steps and values, the last one of each step."""
        found = self._client.get_metric_history(self.run_id, metric)
        return sorted({item.step: float(item.value) for item in found}.items())

    def watch_machine(self) -> Callable[[], None]:
        """Log processor, memory, disk, network and GPUs every ten seconds, until it is called."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor: Any = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
            self.run_id, sampling_interval=10, resume_logging=True
        )
        monitor.start()

        def finish() -> None:
            monitor.finish()
            for part in monitor.monitors:  # the last interval, which may be the only one
                part.clear_metrics()
            monitor.collect_metrics()
            monitor.publish_metrics(monitor.aggregate_metrics())
            monitor.mlflow_logger.flush()

        return finish

    def tags(self, values: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(self.run_id, tags=[RunTag(k, v) for k, v in values.items()])

    def text(self, text: str, path: str) -> None:
        """Log an artifact from a text; `path` is its name in the run."""
        self._client.log_text(self.run_id, text, path)

    def figures(self, figures: Mapping[str, Any]) -> None:
        """Log matplotlib figures as PNG; the keys are artifact paths."""
        for path, figure in figures.items():
            self._client.log_figure(self.run_id, figure, path)

    def dataset_input(
        self,
        *,
        name: str,
        root: str,
        version: int,
        digest: str,
        rows: Mapping[str, int],
        context: str = "training",
    ) -> None:
        """Say which dataset version the run is about; MLflow shows it as the run's dataset."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = {"path": redact(root), "delta_table_version": version}
        dataset = Dataset(
            name=name,
            digest=digest[:36],  # MLflow's limit
            source_type="delta_table",
            source=json.dumps(source),
            profile=json.dumps({"rows": dict(rows), "digest": digest}),
        )
        inputs = DatasetInput(dataset, [InputTag("mlflow.data.context", context)])
        self._client.log_inputs(self.run_id, [inputs])


@contextmanager
def start_run(store: Store, run_name: str) -> Iterator[TrackedRun]:
    """A new run, ended as FINISHED, or FAILED where the block raises."""
    client = connect(store)
    nested = {"mlflow.parentRunId": store.parent} if store.parent else {}
    source = {"mlflow.source.name": "headrace", "mlflow.source.type": "JOB"}
    run = client.create_run(
        experiment_id(client, store),
        run_name=run_name,
        tags={**source, **nested, **_environment()},
    )
    yield from _ending(TrackedRun(client, run.info.run_id, store))


@contextmanager
def parent_run(
    store: Store, run_name: str, stage: str, report: Report
) -> Iterator[TrackedRun | None]:
    """A run for others to be shown below; None where the server does not answer.

    Args:
        store: where it is.
        run_name: of it.
        stage: for its tag `headrace.stage`.
        report: told where the server does not answer.
    """
    stack = ExitStack()
    run = None
    with told(report), _asked_shortly():
        run = stack.enter_context(start_run(store, run_name))
        run.tags({"headrace.stage": stage})
    try:
        yield run
    except BaseException as error:
        with contextlib.suppress(Exception, type(error)):  # which is raised in a moment
            stack.__exit__(type(error), error, error.__traceback__)
        raise
    with told(report):
        stack.close()


@contextmanager
def told(report: Report) -> Iterator[None]:
    """The work goes on, whatever the tracking server says."""
    try:
        yield
    except Exception as error:
        first = redact(str(error).splitlines()[0] if str(error) else type(error).__name__)
        report(Progress(f"MLflow does not answer, the run of the whole is not written: {first}"))


@contextmanager
def _asked_shortly() -> Iterator[None]:
    """A dead server would be asked for minutes."""
    wanted = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def resume_run(store: Store, run_id: str) -> Iterator[TrackedRun]:
    """An existing run, added to; its status stays unless the block raises."""
    client = connect(store)
    client.get_run(run_id)
    yield TrackedRun(client, run_id, store)


@contextmanager
def continue_run(store: Store, run_id: str) -> Iterator[TrackedRun]:
    """A run that was begun before and goes on; ended as `start_run` ends it."""
    client = connect(store)
    client.update_run(run_id, status="RUNNING")
    yield from _ending(TrackedRun(client, run_id, store))


def _ending(run: TrackedRun) -> Iterator[TrackedRun]:
    try:
        yield run
    except BaseException as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        run.tags({"headrace.error": redact(f"{type(error).__name__}: {reason}")[:500]})
        status = "KILLED" if isinstance(error, PreemptedError | KeyboardInterrupt) else "FAILED"
        run._client.set_terminated(run.run_id, status=status)
        raise
    run._client.set_terminated(run.run_id, status="FINISHED")


def _flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            # MLflow allows letters, digits and _-./ : in a parameter's name.
            safe = "".join(c if c.isalnum() or c in "_-./ " else "_" for c in str(key))
            yield from _flatten(value, f"{prefix}.{safe}" if prefix else safe)
    else:
        yield prefix, json.dumps(tree) if isinstance(tree, list | dict) else tree


def _environment() -> dict[str, str]:
    packages = ("headrace", "tensorflow", "keras", "horovod", "petastorm", "pyarrow", "mlflow")
    tags = {f"version.{name}": version(name) for name in packages}
    tags["version.python"] = platform.python_version()
    commit = find_git_commit()
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


@contextmanager
def artifact_folder() -> Iterator[Path]:
    """A temporary folder for files on their way to the artifact store."""
    with tempfile.TemporaryDirectory(prefix="headrace-artifacts-") as name:
        yield Path(name)
