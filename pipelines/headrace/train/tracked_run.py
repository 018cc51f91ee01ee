"""What MLflow gets of a training: its run, begun late, and the registered model."""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.errors import PreemptedError, TrainError
from headrace.lake.data_file import SPLITS
from headrace.lake.storage import said
from headrace.lake.version import DatasetVersion
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.tracking.lineage import BUILD_TAG
from headrace.tracking.run import TrackedRun, continue_run, start_run
from headrace.tracking.store import Store
from headrace.train.state import TrainState

# Seconds that a server has to come back when the training is done.
_PATIENCE = 60.0
# Seconds that the first checkpoint waits for the run.
_FIRST_WAIT = 15.0
# Seconds that what is waiting has to be written where the training was told to end, or failed.
_ENDING_WAIT, _FAILING_WAIT = 10.0, 2.0


class Tracked:
    """The run on rank 0, written by a thread: no server, dead or slow, holds up the training.

    What could not be written is tried again with what comes next, and at the end. As a context it
    ends the run, as failed where the block raised.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: DatasetVersion,
        collectives: Collectives,
        store: Store,
        facts: dict[str, Any],
        report: Report,
        history: Sequence[Mapping[str, float]] = (),
    ) -> None:
        """
        Args:
            recipe, dataset, collectives, store: what it is about, and where it goes.
            facts: of the checkpoint that the training goes on from, or of ranks before; `attempt`
                and, where there is one, `run_id`.
            report: told where the server does not answer.
            history: metrics of the epochs before, which the run may have or not.
        """
        self._history = list(history)
        self._recipe, self._dataset, self._collectives = recipe, dataset, collectives
        self._store, self._run_id, self._report = store, facts.get("run_id"), report
        self._attempt = facts.get("attempt", "")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="headrace-tracking")
        self._waiting: deque[Callable[[TrackedRun], None]] = deque()
        self._opened: AbstractContextManager[TrackedRun] | None = None
        self._run: TrackedRun | None = None
        self._stop_watching: Callable[[], None] = lambda: None
        self._asked: Future[None] | None = None
        self._why = ""
        self._waited = False

    def __enter__(self) -> "Tracked":
        # A dead server would be asked for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        self._remember()
        return self

    def _remember(self) -> None:
        """Where another rank is to go on if this one is lost."""
        facts = {"begun": True, "attempt": self._attempt, "run_id": self._run_id}
        self._collectives.remember(facts)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._thread.submit(self._write)  # that it failed is on record, however early
        stopped = self._thread.submit(self._watch_no_more)
        if error is None:
            self._thread.shutdown(wait=True)
        else:  # the other ranks are failing, too, and the supervisor is to hear of this one first
            patience = _ENDING_WAIT if isinstance(error, PreemptedError) else _FAILING_WAIT
            wait([stopped], timeout=patience)
            self._thread.shutdown(wait=False, cancel_futures=True)
        if self._opened is None:
            return
        try:
            self._opened.__exit__(kind, error, trace)
        except Exception as failure:
            if failure is not error:
                self._report(Progress(f"the run could not be ended: {said(failure)}"))

    def begin(self) -> None:
        """Have the run begun, or gone on with, without waiting for it."""
        # One that is waiting for its turn, or for the server, writes all that there is by then.
        if self._asked is None or self._asked.done():
            self._asked = self._thread.submit(self._write)

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        """An epoch's metrics."""
        values = dict(metrics)
        self._waiting.append(lambda run: run.metrics(values, epoch))
        self.begin()

    def log_steps(self, metrics: Mapping[str, float], step: int) -> None:
        """Metrics of a step, over all epochs."""
        self.log({f"step_{name}": value for name, value in metrics.items()}, step)

    def tags(self, values: Mapping[str, str]) -> None:
        """Tags of the run, written with what comes next."""
        self._waiting.append(lambda run: run.tags(values))

    def for_checkpoints(self) -> dict[str, Any]:
        """Facts that a checkpoint has of the run; no `run_id` where the server is dead or slow.

        The first time the run is waited for, so that a training that goes on is in one run.
        """
        if self._run_id is None and not self._waited:
            self._waited = True
            wait([self._thread.submit(self._write)], timeout=_FIRST_WAIT)
        size = self._collectives.size
        return {"run_id": self._run_id, "dataset": self._dataset.digest, "ranks": size}

    def finished(self) -> TrackedRun:
        """The run with all that was logged in it, on rank 0.

        Raises:
            TrainError: the server does not answer, for a minute and longer.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            self._thread.submit(self._write).result()
            if self._run is not None and not self._waiting:
                return self._run
            if time.monotonic() > deadline:
                raise TrainError(
                    f"{self._store.shown} does not answer ({self._why}): the training is done, its "
                    f"model is not registered, and {len(self._waiting)} records "
                    "(mostly metrics) are not written. When the server is back, run the "
                    "same command again: it goes on from the last checkpoint and registers the "
                    "model"
                )
            time.sleep(1)

    def _write(self) -> None:
        """In the thread: all that is waiting, or as far as the server lets it."""
        try:
            if self._run is None:
                self._run = self._open()
                self._run_id = self._run.run_id
                self._remember()
            while self._waiting:
                self._waiting[0](self._run)
                self._waiting.popleft()
            self._why = ""
        except Exception as error:
            if not self._why:
                self._report(
                    Progress(f"MLflow does not answer, metrics are kept: {said(error)[:200]}")
                )
            self._why = said(error)[:300]

    def _open(self) -> TrackedRun:
        if self._run_id:
            opened = continue_run(self._store, self._run_id)
        else:
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
            opened = start_run(self._store, f"{self._recipe.name}-{stamp}")
        run = opened.__enter__()
        self._opened = opened
        if not self._run_id:
            what = (self._recipe, self._dataset, self._collectives.size)
            self._waiting.appendleft(lambda run: _log_start(run, *what))
        if self._history:
            self._waiting.append(lambda run: _fill_up(run, self._history))
        if self._recipe.tracking.system_metrics:
            self._waiting.append(self._watch)
        return run

    def _watch(self, run: TrackedRun) -> None:
        self._stop_watching = run.watch_machine()

    def _watch_no_more(self) -> None:
        self._stop_watching()


def _fill_up(run: TrackedRun, history: Sequence[Mapping[str, float]]) -> None:
    """Log the epochs that the run does not have."""
    there = run.steps_of("train_loss")
    for epoch, metrics in enumerate(history):
        if epoch not in there:
            run.metrics(metrics, epoch)


def _log_start(run: TrackedRun, recipe: Recipe, dataset: DatasetVersion, size: int) -> None:
    run.params(recipe.resolved())
    run.tags(
        {
            "headrace.stage": "train",
            "headrace.ranks": str(size),
            "headrace.dataset": f"{dataset.version}",
            BUILD_TAG: dataset.build.build_id,
        }
    )
    settings = recipe.train
    if settings.schedule.scale_by_ranks:
        peak = settings.optimizer.learning_rate * size
        run.tags({"headrace.learning_rate": f"{peak:g}, scaled by {size} ranks"})
    run.dataset_input(
        name=recipe.name,
        root=dataset.root,
        version=dataset.version,
        digest=dataset.digest,
        rows={split: dataset.rows(split) for split in SPLITS},
    )
    run.text(dataset.transform_json, "transform.json")
    run.text(dataset.build.ledger_json(), "ledger.json")


def result_of(
    run: TrackedRun, model_uri: str, state: TrainState, checksums: list[str]
) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
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


def where_ranks_are(devices: Sequence[str]) -> str:
    """Which rank has which device, for people."""
    return "; ".join(f"rank {rank} on {device}" for rank, device in enumerate(devices))


def machines(devices: Sequence[str], checkpoints: str) -> dict[str, str]:
    """Tags that say where a training runs."""
    hosts = {device.split()[0] for device in devices}
    return {
        "headrace.devices": where_ranks_are(devices)[:5000],
        "headrace.hosts": str(len(hosts)),
        "headrace.checkpoints": redact_text(checkpoints),
    }


@dataclass
class FirstStep:
    """When the first step was done: seconds from the rank's start, and seconds since 1970."""

    started: float
    tracked: Callable[[], Tracked | None]
    seconds: float = 0.0
    at: float = 0.0

    def noted(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            result = step(*args, **options)
            if not self.at:
                float(result.loss)  # it is done when its result is there
                self.at, self.seconds = time.time(), time.monotonic() - self.started
                if tracked := self.tracked():
                    tracked.begin()
            return result

        return call
