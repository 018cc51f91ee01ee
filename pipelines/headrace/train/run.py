"""Run the train stage: check the recipe, launch the ranks, return their result.

What a rank does is in `rank.py`; how ranks are started and supervised is in `distributed`.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.distributed.choose_ranks import choose_ranks
from headrace.distributed.run_ranks import resolve_launcher, run_ranks
from headrace.distributed.supervise.kept_ranks import KeptRanks
from headrace.distributed.task import RankTask
from headrace.errors import HeadraceError, PreemptedError
from headrace.lake.version import DatasetVersion
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.recipe.model_requirements import list_elastic_sizes
from headrace.signals import Terminated
from headrace.tracking.environment import select_tracking_variables
from headrace.train.checkpoint import Checkpoints, locate_checkpoints, name_attempt
from headrace.train.preflight import check_slices, choose_stream_shapes, load_trainable_spec

# Seconds from SIGTERM to the end, for a step and a checkpoint. Kubernetes gives 30 by default.
_ENDING_GRACE = 25.0


@dataclass(frozen=True)
class Trained:
    """The result of a training run.

    Attributes:
        dataset: what it was trained on.
        run_id: the MLflow run.
        model_uri: `models:/name/version` of the registered model; empty where there is none.
        metrics: of the best epoch.
        weights_checksum: SHA-256 of the weights, one per rank.
        seconds: `first_step` from the ranks' start, then `epochs` and `register`; `total` of all.
        first_step_at: time at which the first step was done, seconds since 1970.
        run_url: address of the run's page, see `Store.format_run_url`.
    """

    dataset: DatasetVersion
    run_id: str
    model_uri: str
    metrics: dict[str, float]
    weights_checksum: list[str]
    seconds: dict[str, float]
    first_step_at: float = 0.0
    run_url: str | None = None


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
    environment: Mapping[str, str] | None = None,
    kept_ranks: KeptRanks | None = None,
) -> Trained:
    """Train on a dataset version and register the model.

    Args:
        recipe: model, train, stream, evaluate.threshold and tracking are read, and dataset.path.
        workdir: local folder; holds the MLflow store where no other is configured.
        report: called with progress.
        dataset_version: the newest one if left out.
        resume: `auto` continues the newest whole checkpoint of a training of the same recipe on the
            same dataset that did not finish, `never` starts from scratch; anything else is a
            checkpoint's path or URL.
        parent_run_id: MLflow run below which this one is shown.
        register: whether to register the model.
        should_stop: returns whether to cancel the training; called again and again.
        environment: further variables of the ranks on this machine.
        kept_ranks: processes of ranks that are there already.

    Raises:
        DatasetError: there is no such dataset version, or it was changed.
        RecipeError: the model or early stopping does not fit the dataset's inputs and label, or
            slices of the evaluation not its columns.
        RankError: a rank died.
        StreamError, TrainError: raised by a rank, with its message.
        PreemptedError: SIGTERM arrived, and a checkpoint was written.
        StoppedError: `should_stop` returned true.

    What ended it from outside has a note that says where the newest checkpoint is.
    """
    started = time.monotonic()
    dataset = DatasetVersion.open(recipe.dataset.path, dataset_version)
    choice = choose_ranks(recipe, dataset.count_rows("train"))
    recipe = choice.recipe
    choose_stream_shapes(recipe, dataset, load_trainable_spec(recipe, dataset))
    check_slices(recipe, dataset)
    report(Progress(choice.describe()))
    payload: dict[str, Any] = {
        "recipe": recipe.dump_resolved(),
        "recipe_folder": recipe.folder,
        "workdir": workdir,
        "dataset": {"root": dataset.root, "version": dataset.version},
        "resume": resume,
        # Ranks that are started again continue this attempt, whatever `resume` says.
        "attempt": name_attempt(),
        "parent_run_id": parent_run_id,
        "register": register,
        "ranks_rule": choice.rule,
    }
    task = RankTask(
        target="headrace.train.rank:train_rank",
        payload=payload,
        collectives=recipe.train.collectives,
        threads_per_rank=recipe.train.threads_per_rank,
        collective_timeout=recipe.train.collective_timeout,
        environment={**select_tracking_variables(os.environ), **(environment or {})},
        step_timeout=recipe.train.step_timeout,
        ending_grace=_ENDING_GRACE,
        max_restarts=recipe.train.max_restarts,
        sizes=list_elastic_sizes(recipe.train, recipe.stream),
    )
    launcher = resolve_launcher(recipe, workdir, kept_ranks)
    try:
        result = run_ranks(task, choice.ranks, report, launcher, should_stop)
    except (KeyboardInterrupt, Terminated, PreemptedError) as error:
        error.add_note(_describe_newest_checkpoint(recipe, dataset, workdir))
        raise
    seconds = {**result["seconds"], "total": round(time.monotonic() - started, 2)}
    return Trained(
        dataset=dataset,
        run_id=result["run_id"],
        model_uri=result["model_uri"],
        metrics=result["metrics"],
        weights_checksum=result["weights_checksum"],
        seconds=seconds,
        first_step_at=result["first_step_at"],
        run_url=result.get("run_url"),
    )


def _describe_newest_checkpoint(recipe: Recipe, dataset: DatasetVersion, workdir: str) -> str:
    """Return in words what a training that was ended is continued from."""
    try:
        location = Checkpoints(locate_checkpoints(recipe, dataset, workdir)).find_newest()
    except HeadraceError as error:
        return f"whether there is a checkpoint is not known: {error}"
    return f"checkpoint: {location}" if location else "checkpoint: none was written yet"
