"""Start, resume and end MLflow runs, and log to them: parameters, metrics, artifacts, the dataset.

Registering a model is left to `model.py`, finding the store to `store.py`.
"""

import contextlib
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from headrace.errors import PreemptedError, get_first_line
from headrace.progress import Progress, Report
from headrace.provenance import find_git_commit
from headrace.recipe import Recipe
from headrace.recipe.changed import format_recipe, list_parameters
from headrace.redaction import redact_recipe, redact_text, redact_value
from headrace.tracking.descriptions import describe_run, read_run_description
from headrace.tracking.environment import limit_requests_within
from headrace.tracking.faults import wait_out
from headrace.tracking.lineage import STAGE_TAG
from headrace.tracking.metric_names import name_metric
from headrace.tracking.params import choose_params
from headrace.tracking.preflight import check_store
from headrace.tracking.store import (
    Store,
    find_or_create_experiment,
    log_waiting,
    open_client,
    open_patient_client,
)

_PARAM_LIMIT = 6000  # MLflow's limit for a value, in characters
_PARAMS_PER_REQUEST = 100  # and for the parameters of a request
RECIPE_FILE, RESOLVED_FILE = "recipe.yaml", "recipe.json"
"""Artifacts of a run: what of its recipe differs from the defaults, and every key of it."""


class TrackedRun:
    """A run to log to; the context manager that returned it ends it."""

    def __init__(self, client: Any, run_id: str, store: Store, experiment_id: str = "") -> None:
        """
        Args:
            client: of MLflow.
            run_id, experiment_id: of the run; the latter "" where nobody asks for its address.
            store: where the run is.
        """
        self._client, self.run_id, self.store = client, run_id, store
        self.experiment_id = experiment_id

    @property
    def url(self) -> str | None:
        """Return the address of the run's page; see `Store.format_run_url`."""
        return self.store.format_run_url(self.experiment_id, self.run_id)

    @property
    def client(self) -> Any:
        """Return the client, for what only one module logs."""
        return self._client

    def read_description(self) -> str:
        """Read the description that MLflow shows with the run; "" where it has none."""
        return read_run_description(self._client, self.run_id)

    def describe(self, text: str) -> None:
        """Set the description that MLflow shows with the run; one that somebody wrote stays."""
        describe_run(self._client, self.run_id, text)

    def log_params(self, tree: Mapping[str, Any]) -> None:
        """Log nested plain values as flat parameters, `train.epochs` and so on, secrets masked.

        Of more than 2,000 the largest sections are left out: the tag `headrace.params_left_out`
        names them.
        """
        from mlflow.entities import Param

        flat, left_out = choose_params(redact_value(dict(tree)))
        for start in range(0, len(flat), _PARAMS_PER_REQUEST):
            batch = flat[start : start + _PARAMS_PER_REQUEST]
            params = [Param(key, str(value)[:_PARAM_LIMIT]) for key, value in batch]
            self._client.log_batch(self.run_id, params=params)
        if left_out:
            named = ", ".join(f"{section} ({count:,})" for section, count in left_out.items())
            self.set_tags({"headrace.params_left_out": f"{named}; see {RECIPE_FILE}"})

    def log_recipe(self, recipe: Recipe) -> None:
        """Log what of a recipe differs from the defaults, as parameters and as `recipe.yaml`; and
        `recipe.json` with every key, in which a later release finds what were the defaults."""
        self.log_params(list_parameters(recipe))
        self.log_text(format_recipe(recipe), RECIPE_FILE)
        resolved = redact_recipe(recipe.dump_resolved())
        self.log_text(json.dumps(resolved, indent=1), RESOLVED_FILE)

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log metrics of a step (in training, of an epoch)."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        batch = [Metric(name, float(value), now, step) for name, value in values.items()]
        self._client.log_batch(self.run_id, metrics=batch)

    def list_steps(self, metric: str) -> set[int]:
        """List the steps for which a metric is logged."""
        return {point.step for point in self._client.get_metric_history(self.run_id, metric)}

    def read_history(self, metric: str) -> list[tuple[int, float]]:
        """Read the steps and values of a metric, by step; of each step the value logged last."""
        points = self._client.get_metric_history(self.run_id, metric)
        return sorted({point.step: float(point.value) for point in points}.items())

    def read_curve(self, name: str) -> list[tuple[int, float]]:
        """Read the epochs and values of a metric by the name that results have, by epoch.

        A run that an older Headrace began has it under that name, all of it or the first epochs.
        """
        old, new = self.read_history(name), self.read_history(name_metric(name))
        return sorted({**dict(old), **dict(new)}.items())

    def watch_machine(self) -> Callable[[], None]:
        """Log processor, memory, disk, network and GPUs every ten seconds; returns a stopper."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor: Any = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
            self.run_id, sampling_interval=10, resume_logging=True
        )
        monitor.start()

        def finish() -> None:
            monitor.finish()
            for sampler in monitor.monitors:  # the last interval, which may be the only one
                sampler.clear_metrics()
            monitor.collect_metrics()
            monitor.publish_metrics(monitor.aggregate_metrics())
            monitor.mlflow_logger.flush()

        return finish

    def set_tags(self, values: Mapping[str, str]) -> None:
        """Set tags of the run."""
        from mlflow.entities import RunTag

        tags = [RunTag(key, redact_text(value)) for key, value in values.items()]
        self._client.log_batch(self.run_id, tags=tags)

    def log_text(self, text: str, path: str) -> None:
        """Log a text as an artifact; `path` is its path in the run."""
        self._client.log_text(self.run_id, text, path)

    def log_figures(self, figures: Mapping[str, Any]) -> None:
        """Log matplotlib figures as PNG; the keys are artifact paths."""
        for path, figure in figures.items():
            self._client.log_figure(self.run_id, figure, path)

    def log_dataset(
        self,
        *,
        name: str,
        root: str,
        version: int,
        digest: str,
        rows: Mapping[str, int],
        context: str = "training",
    ) -> None:
        """Log the dataset version that the run is about, which MLflow shows as its dataset."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = {"path": redact_value(root), "delta_table_version": version}
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
    """Start a run, and end it as FINISHED; as FAILED or KILLED where the block raises."""
    client = open_client(store)
    nested = {"mlflow.parentRunId": store.parent} if store.parent else {}
    source = {"mlflow.source.name": "headrace", "mlflow.source.type": "JOB"}
    run = client.create_run(
        find_or_create_experiment(client, store),
        run_name=run_name,
        tags={**source, **nested, **_collect_version_tags()},
    )
    yield from _end_run(TrackedRun(client, run.info.run_id, store, run.info.experiment_id))


@contextmanager
def start_parent_run(
    store: Store, run_name: str, stage: str, report: Report
) -> Iterator[TrackedRun | None]:
    """Start a run that others are shown below; it is None where the server does not answer.

    Args:
        store: store of the run.
        run_name: name of the run.
        stage: value of its tag `headrace.stage`.
        report: gets a message where the server does not answer.

    Raises:
        ModelError: something about the store will not pass by itself; see `check_store`.
    """
    stack = ExitStack()
    run = None
    with limit_requests_within():
        obstacle = check_store(store, registers=stage != "tune")  # which registers nothing
        if obstacle:
            report(Progress(f"MLflow does not answer, the parent run is not recorded: {obstacle}"))
        else:
            with report_outage(report):
                run = stack.enter_context(start_run(store, run_name))
                run.set_tags({STAGE_TAG: stage})
    try:
        yield run
    except BaseException as error:
        with contextlib.suppress(Exception, type(error)):  # it is raised below
            stack.__exit__(type(error), error, error.__traceback__)
        raise
    with report_outage(report):
        stack.close()


@contextmanager
def report_outage(report: Report) -> Iterator[None]:
    """Report an error of the tracking server within the block instead of raising it."""
    try:
        yield
    except Exception as error:
        first = redact_value(get_first_line(error) or type(error).__name__)
        report(Progress(f"MLflow does not answer, the parent run is not recorded: {first}"))


@contextmanager
def resume_run(store: Store, run_id: str) -> Iterator[TrackedRun]:
    """Open an existing run to log to; its status stays as it is."""
    client = open_patient_client(store)
    yield TrackedRun(client, run_id, store, client.get_run(run_id).info.experiment_id)


@contextmanager
def continue_run(store: Store, run_id: str) -> Iterator[TrackedRun]:
    """Continue a run that was started before, and end it as `start_run` does."""
    client = open_client(store)
    client.update_run(run_id, status="RUNNING")
    experiment_id = client.get_run(run_id).info.experiment_id
    yield from _end_run(TrackedRun(client, run_id, store, experiment_id))


def _end_run(run: TrackedRun) -> Iterator[TrackedRun]:
    """Yield the run, and end it with the status that the block's outcome calls for."""
    try:
        yield run
    except BaseException as error:
        reason = f"{type(error).__name__}: {get_first_line(error)}"
        run.set_tags({"headrace.error": redact_value(reason)[:500]})
        status = "KILLED" if isinstance(error, PreemptedError | KeyboardInterrupt) else "FAILED"
        run._client.set_terminated(run.run_id, status=status)
        raise
    wait_out(lambda: run._client.set_terminated(run.run_id, status="FINISHED"), log_waiting)


def _collect_version_tags() -> dict[str, str]:
    """Collect the versions of the installed packages, of Python and of the code."""
    tags = {}
    for name in ("headrace", "tensorflow", "keras", "horovod", "petastorm", "pyarrow", "mlflow"):
        with suppress(PackageNotFoundError):  # a recipe can do without some of them
            tags[f"version.{name}"] = version(name)
    tags["version.python"] = platform.python_version()
    commit = find_git_commit()
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


@contextmanager
def make_artifact_folder() -> Iterator[Path]:
    """Make a temporary folder for files on their way to the artifact store."""
    with tempfile.TemporaryDirectory(prefix="headrace-artifacts-") as name:
        yield Path(name)
