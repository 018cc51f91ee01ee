"""Track a training in MLflow from a thread, so that no slow or dead server holds it up.

The run is opened late, and what could not be written is written later. How a record is made is the
business of `tracking`, registering a model that of `register.py`.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.errors import PreemptedError, StoreError
from headrace.lake.data_file import SPLITS
from headrace.lake.storage import describe_error
from headrace.lake.version import DatasetVersion
from headrace.number_text import format_number
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.tracking.environment import limit_requests
from headrace.tracking.faults import PATIENCE, explain_fault, is_passing
from headrace.tracking.lineage import BUILD_TAG, DATASET_TAG, STAGE_TAG
from headrace.tracking.metric_names import name_epoch_metrics, name_metric, name_step_metrics
from headrace.tracking.preflight import check_store
from headrace.tracking.run import TrackedRun, continue_run, start_run
from headrace.tracking.store import Store
from headrace.train.describe import describe_training
from headrace.train.state import TrainState

# Seconds that the second step waits for the store's answer.
_FIRST_WAIT = 15.0
# Seconds to write pending records where the training was asked to stop, or failed.
_ENDING_WAIT, _FAILING_WAIT = 10.0, 2.0


class TrackedTraining:
    """The MLflow run of a training, on rank 0, written by a thread.

    Records that could not be written are retried with the next ones, and at the end. As a context
    it ends the run, as failed where the block raised.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: DatasetVersion,
        collectives: Collectives,
        store: Store,
        carried_values: dict[str, Any],
        report: Report,
        history: Sequence[Mapping[str, float]] = (),
        *,
        registers: bool = True,
    ) -> None:
        """
        Args:
            recipe, dataset: what is trained on what.
            collectives: the ranks; values are saved for those of later generations.
            store: where the run is tracked.
            carried_values: of the checkpoint that the training resumes from, or saved by earlier
                ranks; `attempt` and, where there is one, `run_id`.
            report: called where the server does not answer.
            history: metrics of earlier epochs, some of which the run may lack.
            registers: whether a model will be registered at the end.
        """
        self._registers, self._is_checked = registers, False
        self._history = list(history)
        self._recipe, self._dataset, self._collectives = recipe, dataset, collectives
        self._store, self._run_id, self._report = store, carried_values.get("run_id"), report
        self._attempt = carried_values.get("attempt", "")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="headrace-tracking")
        self._pending: deque[Callable[[TrackedRun], None]] = deque()
        self._opened: AbstractContextManager[TrackedRun] | None = None
        self._run: TrackedRun | None = None
        self._stop_watching: Callable[[], None] = lambda: None
        self._last_write: Future[None] | None = None
        # Why nothing could be written the last time, and whether that lasts.
        self._failure, self._is_lasting = "", False

    def __enter__(self) -> "TrackedTraining":
        limit_requests()
        self._save_carried_values()
        return self

    def _save_carried_values(self) -> None:
        """Save what another rank needs to continue the run if this one is lost."""
        values = {"begun": True, "attempt": self._attempt, "run_id": self._run_id}
        self._collectives.save_carried_values(values)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._thread.submit(self._write_pending)  # even an early failure is on record
        stopped = self._thread.submit(self._end_watching)
        if error is None:
            self._thread.shutdown(wait=True)
        else:  # the other ranks will fail, too, and the supervisor has to hear of this one first
            wait([stopped], timeout=self._choose_patience(error))
            self._thread.shutdown(wait=False, cancel_futures=True)
        if self._opened is None:
            return
        try:
            self._opened.__exit__(kind, error, trace)
        except Exception as failure:
            if failure is not error:
                self._report(Progress(f"the run could not be ended: {describe_error(failure)}"))

    def _choose_patience(self, error: BaseException) -> float:
        """Return for how many seconds the end of a failed or stopped training waits for records."""
        if isinstance(error, PreemptedError):
            return _ENDING_WAIT
        if self._last_write is None:  # MLflow has yet to be imported
            return min(_ENDING_WAIT, self._recipe.train.collective_timeout / 2)
        return _FAILING_WAIT

    def wait_for_start(self, patience: float | None = None) -> bool:
        """Wait until the run is open and has its first records, or the store does not answer.

        What will not pass by itself is told here, after the first step: experiment, run, schema,
        the right to write artifacts, the registry.

        Args:
            patience: seconds; by default as long as the other ranks can wait.

        Returns:
            whether there was an answer, be it that the server is down for now.

        Raises:
            StoreError: something will not pass by itself.
        """
        if self._last_write is None:
            self.begin_writing()
        assert self._last_write is not None
        if patience is None:
            # The other ranks wait in their next sum for this one, and not for longer than that.
            patience = min(_FIRST_WAIT, self._recipe.train.collective_timeout / 2)
        answered, _ = wait([self._last_write], timeout=patience)
        if self._is_lasting:
            raise StoreError(f"{self._failure} (found after the first step; no model was trained)")
        return bool(answered)

    def begin_writing(self) -> None:
        """Open the run or write pending records, in the thread and without waiting for it."""
        # A write that is queued, or waits for the server, takes the latest records along.
        if self._last_write is None or self._last_write.done():
            self._last_write = self._thread.submit(self._write_pending)

    def log_epoch(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Log an epoch's metrics."""
        self._log_metrics(name_epoch_metrics(metrics), epoch)

    def log_steps(self, metrics: Mapping[str, float], step: int) -> None:
        """Log a step's metrics; steps are counted over all epochs."""
        self._log_metrics(name_step_metrics(metrics), step)

    def _log_metrics(self, values: Mapping[str, float], step: int) -> None:
        self._pending.append(lambda run: run.log_metrics(values, step))
        self.begin_writing()

    def set_tags(self, values: Mapping[str, str]) -> None:
        """Set tags of the run; they are written with the next records."""
        self._pending.append(lambda run: run.set_tags(values))

    def describe_for_checkpoint(self) -> dict[str, Any]:
        """Return the values of a checkpoint that the training's state lacks.

        `run_id` is None where the server is dead or slow.
        """
        size = self._collectives.size
        return {"run_id": self._run_id, "dataset": self._dataset.digest, "ranks": size}

    def finish_writing(self) -> TrackedRun:
        """Wait until all records are written, and return the run.

        Raises:
            StoreError: the server has not answered for a minute, or a fault lasts.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            self._thread.submit(self._write_pending).result()
            if self._run is not None and not self._pending:
                return self._run
            if self._is_lasting:
                raise StoreError(
                    f"{self._failure}. The training is done, its model is not registered, and "
                    f"{len(self._pending)} records (mostly metrics) are not written. Mend that, "
                    "and run the same command again: it continues from the last checkpoint and "
                    "registers the model"
                )
            if time.monotonic() > deadline:
                raise StoreError(
                    f"{self._store.redacted_uri} does not answer ({self._failure}): the training "
                    f"is done, its model is not registered, and {len(self._pending)} records "
                    "(mostly metrics) are not written. When the server is back, run the same "
                    "command again: it continues from the last checkpoint and registers the model"
                )
            time.sleep(1)

    def _write_pending(self) -> None:
        """Write all pending records, or as many as the server accepts; runs in the thread."""
        try:
            if self._run is None:
                self._run = self._open_run()
                self._run_id = self._run.run_id
                self._save_carried_values()
            while self._pending:
                self._pending[0](self._run)
                self._pending.popleft()
            self._failure, self._is_lasting = "", False
        except Exception as error:
            was_told = self._failure
            self._is_lasting = not is_passing(error)
            if self._is_lasting:
                address = self._store.describe_addresses()
                self._failure = explain_fault(error, "MLflow cannot record the training", address)
            else:
                self._failure = describe_error(error)[:300]
            if not was_told:
                what = "refuses records" if self._is_lasting else "does not answer"
                text = f"MLflow {what}, metrics are kept: {self._failure[:300]}"
                self._report(Progress(text))

    def _open_run(self) -> TrackedRun:
        if not self._is_checked:
            obstacle = check_store(self._store, run_id=self._run_id, registers=self._registers)
            self._is_checked = not obstacle
        if self._run_id:
            opened = continue_run(self._store, self._run_id)
        else:
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
            opened = start_run(self._store, f"{self._recipe.name}-{stamp}")
        run = opened.__enter__()
        self._opened = opened
        if not self._run_id:
            start_facts = (self._recipe, self._dataset, self._collectives.size)
            self._pending.appendleft(lambda run: _log_start(run, *start_facts))
        # Parameters are those of the first start: a continued run may read with another engine.
        engine = self._recipe.stream.engine
        self._pending.append(lambda run: run.set_tags({"headrace.stream_engine": engine}))
        if self._history:
            self._pending.append(lambda run: _log_missing_epochs(run, self._history))
        if self._recipe.tracking.system_metrics:
            self._pending.append(self._start_watching)
        return run

    def _start_watching(self, run: TrackedRun) -> None:
        self._stop_watching = run.watch_machine()

    def _end_watching(self) -> None:
        self._stop_watching()


def _log_missing_epochs(run: TrackedRun, history: Sequence[Mapping[str, float]]) -> None:
    """Log the epochs that the run does not have, or has by the names of an older Headrace."""
    logged_epochs = run.list_steps(name_metric("train_loss"))
    for epoch, metrics in enumerate(history):
        if epoch not in logged_epochs:
            run.log_metrics(name_epoch_metrics(metrics), epoch)


def _log_start(run: TrackedRun, recipe: Recipe, dataset: DatasetVersion, size: int) -> None:
    """Log what is known before the first step: parameters, tags, the dataset and its files."""
    run.log_recipe(recipe)
    run.describe(describe_training(recipe, dataset))
    run.set_tags(
        {
            STAGE_TAG: "train",
            "headrace.ranks": str(size),
            DATASET_TAG: f"{dataset.version}",
            BUILD_TAG: dataset.build.build_id,
        }
    )
    settings = recipe.train
    if settings.schedule.scale_by_ranks:
        peak = settings.optimizer.learning_rate * size
        run.set_tags({"headrace.learning_rate": f"{format_number(peak)}, scaled by {size} ranks"})
    run.log_dataset(
        name=recipe.name,
        root=dataset.root,
        version=dataset.version,
        digest=dataset.digest,
        rows={split: dataset.count_rows(split) for split in SPLITS},
    )
    run.log_text(dataset.transform_json, "transform.json")
    run.log_text(dataset.build.ledger_to_json(), "ledger.json")


def build_train_result(
    run: TrackedRun, model_uri: str, state: TrainState, checksums: list[str]
) -> dict[str, Any]:
    """Build the result of a training, as `run.train` reads it.

    Args:
        run: the tracked run.
        model_uri: of the registered model; empty where there is none.
        state: after the last epoch.
        checksums: of every rank's weights.
    """
    return {
        "run_id": run.run_id,
        "run_url": run.url,
        "model_uri": model_uri,
        "weights_checksum": checksums,
        "metrics": {
            **state.metrics,
            "epochs": state.epochs_run,
            "best_epoch": state.best.epoch,
            "rows_per_second": float(np.median(state.rates or [0.0])),
            "input_wait_share": state.waited / state.worked if state.worked else 0.0,
        },
    }


def describe_devices(devices: Sequence[str]) -> str:
    """Describe in words which rank has which device."""
    return "; ".join(f"rank {rank} on {device}" for rank, device in enumerate(devices))


def build_machine_tags(
    devices: Sequence[str], checkpoints: str, ranks_rule: str = ""
) -> dict[str, str]:
    """Build the tags that say where a training runs.

    Args:
        devices: of every rank, each beginning with its host.
        checkpoints: folder or URL of the attempt's checkpoints.
        ranks_rule: what chose the number of ranks; "" where the recipe has it.
    """
    hosts = {device.split()[0] for device in devices}
    return {
        "headrace.devices": describe_devices(devices)[:5000],
        "headrace.hosts": str(len(hosts)),
        "headrace.checkpoints": redact_text(checkpoints),
        **({"headrace.ranks_rule": ranks_rule} if ranks_rule else {}),
    }
