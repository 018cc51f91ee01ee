"""The train stage: launches the ranks and says what came out. The work is in `rank.py`."""

import time
from dataclasses import dataclass
from typing import Any

from pipelines.distributed.launch import run_ranks
from pipelines.distributed.task import RankTask
from pipelines.lake.version import DatasetVersion
from pipelines.progress import Progress, Report
from pipelines.recipe import Recipe
from pipelines.train.check import trainable_spec


@dataclass(frozen=True)
class Trained:
    """What a training run leaves.

    Attributes:
        dataset: what it was trained on.
        run_id: the MLflow run.
        model_uri: `models:/name/version` of the registered model.
        metrics: of the best epoch.
        weights_checksum: SHA-256 of the weights, one a rank.
        seconds: time a step.
    """

    dataset: DatasetVersion
    run_id: str
    model_uri: str
    metrics: dict[str, float]
    weights_checksum: list[str]
    seconds: dict[str, float]


def train(
    recipe: Recipe, *, workdir: str, report: Report, dataset_version: int | None = None
) -> Trained:
    """Train on a dataset version and register the model.

    Args:
        recipe: model, train, stream, evaluate.threshold and tracking are read, and dataset.path.
        workdir: local folder; holds the MLflow store where no other is configured.
        report: told of progress.
        dataset_version: the newest where it is left out.

    Raises:
        DatasetError: there is no such dataset version, or it was changed.
        RecipeError: the model or early stopping does not fit the dataset's inputs and label.
        RankError: a rank died.
        StreamError, TrainError: from a rank, in its own words.
    """
    started = time.monotonic()
    dataset = DatasetVersion.open(recipe.dataset.path, dataset_version)
    trainable_spec(recipe, dataset)
    report(Progress(f"starting {recipe.train.ranks} ranks"))
    payload: dict[str, Any] = {
        "recipe": recipe.resolved(),
        "workdir": workdir,
        "dataset": {"root": dataset.root, "version": dataset.version},
    }
    task = RankTask(
        target="pipelines.train.rank:train_rank",
        payload=payload,
        threads_per_rank=recipe.train.threads_per_rank,
        collective_timeout=recipe.train.collective_timeout,
    )
    result = run_ranks(task, recipe.train.ranks, report)
    seconds = {**result["seconds"], "total": round(time.monotonic() - started, 2)}
    return Trained(
        dataset=dataset,
        run_id=result["run_id"],
        model_uri=result["model_uri"],
        metrics=result["metrics"],
        weights_checksum=result["weights_checksum"],
        seconds=seconds,
    )
