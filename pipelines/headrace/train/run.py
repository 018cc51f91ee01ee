"""The train stage: launches the ranks and says what came out. The work is in `rank.py`."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace.distributed.run_ranks import launcher_of, run_ranks
from headrace.distributed.task import RankTask
from headrace.lake.version import DatasetVersion
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.recipe.model_requirements import elastic_sizes
from headrace.tracking.store import tracking_variables
from headrace.train.preflight import trainable_spec

# Seconds from SIGTERM to the end: a step, and a checkpoint. Kubernetes gives 30 by default.
_ENDING_GRACE = 25.0


@dataclass(frozen=True)
class Trained:
    """What a training run leaves.

    Attributes:
        dataset: what it was trained on.
        run_id: the MLflow run.
        model_uri: `models:/name/version` of the registered model.
        metrics: of the best epoch.
        weights_checksum: SHA-256 of the weights, one a rank.
        seconds: from the ranks' start to their first step, then epochs and registration; in all.
        first_step_at: when that was, seconds since 1970.
    """

    dataset: DatasetVersion
    run_id: str
    model_uri: str
    metrics: dict[str, float]
    weights_checksum: list[str]
    seconds: dict[str, float]
    first_step_at: float = 0.0


def train(
    recipe: Recipe,
    *,
    workdir: str,
    report: Report,
    dataset_version: int | None = None,
    resume: str = "auto",
    parent_run_id: str | None = None,
    register: bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train on a dataset version and register the model.

    Args:
        recipe: model, train, stream, evaluate.threshold and tracking are read, and dataset.path.
        workdir: local folder; holds the MLflow store where no other is configured.
        report: told of progress.
        dataset_version: the newest where it is left out.
        resume: `auto` continues the newest whole checkpoint of a training of the same recipe on the
            same dataset that did not finish, `never` begins anew, else a checkpoint's place.
        parent_run_id: MLflow run below which this one is shown.
        register: whether there is to be a model version of it.
        should_stop: whether the training is wanted no more; asked again and again.

    Raises:
        DatasetError: there is no such dataset version, or it was changed.
        RecipeError: the model or early stopping does not fit the dataset's inputs and label.
        RankError: a rank died.
        StreamError, TrainError: from a rank, in its own words.
        PreemptedError: SIGTERM came, and a checkpoint was left.
        StoppedError: `should_stop` said so.
    """
    started = time.monotonic()
    dataset = DatasetVersion.open(recipe.dataset.path, dataset_version)
    trainable_spec(recipe, dataset)
    report(Progress(f"starting {recipe.train.ranks} ranks"))
    payload: dict[str, Any] = {
        "recipe": recipe.resolved(),
        "workdir": workdir,
        "dataset": {"root": dataset.root, "version": dataset.version},
        "resume": resume,
        "parent_run_id": parent_run_id,
        "register": register,
    }
    task = RankTask(
        target="headrace.train.rank:train_rank",
        payload=payload,
        threads_per_rank=recipe.train.threads_per_rank,
        collective_timeout=recipe.train.collective_timeout,
        environment=tracking_variables(os.environ),
        step_timeout=recipe.train.step_timeout,
        ending_grace=_ENDING_GRACE,
        max_restarts=recipe.train.max_restarts,
        restart_payload={"resume": "auto"},
        sizes=elastic_sizes(recipe.train, recipe.stream),
    )
    result = run_ranks(task, recipe.train.ranks, report, launcher_of(recipe, workdir), should_stop)
    seconds = {**result["seconds"], "total": round(time.monotonic() - started, 2)}
    return Trained(
        dataset=dataset,
        run_id=result["run_id"],
        model_uri=result["model_uri"],
        metrics=result["metrics"],
        weights_checksum=result["weights_checksum"],
        seconds=seconds,
        first_step_at=result["first_step_at"],
    )
