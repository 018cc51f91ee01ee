"""The evaluate stage: a registered model and its dataset version in, metrics in its run out."""

import os
import tempfile
import time
from dataclasses import dataclass

from pipelines.distributed.launch import run_ranks
from pipelines.distributed.task import RankTask
from pipelines.errors import ModelError
from pipelines.lake.storage import absolute_root
from pipelines.lake.version import DatasetVersion
from pipelines.progress import Progress, Report
from pipelines.recipe import Recipe
from pipelines.recipe.redact import redact_text
from pipelines.tracking.model import ModelVersion, find_model, model_file, tag_model
from pipelines.tracking.store import Store

# Of the metrics that the label's kind has; they are shown with the model version.
_METRICS_TAGGED = (
    *("roc_auc", "pr_auc", "f1", "log_loss"),  # binary
    *("accuracy", "f1_macro"),  # classes
    *("mae", "rmse", "r2", "mae_over_baseline"),  # regression
)


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation leaves.

    Attributes:
        run_id: the MLflow run of the model, where the metrics went (`test_…`).
        model_uri: what was judged.
        dataset: whose test split it was judged on.
        metrics: see `metrics`, by the label's kind.
        seconds: time a step.
    """

    run_id: str
    model_uri: str
    dataset: DatasetVersion
    metrics: dict[str, float]
    seconds: dict[str, float]


def evaluate(
    recipe: Recipe,
    *,
    workdir: str,
    report: Report,
    model_uri: str | None = None,
    dataset_version: int | None = None,
) -> Evaluated:
    """Evaluate a model on the test split and log the result to the model's run.

    Args:
        recipe: train.ranks, stream, evaluate and tracking are read.
        workdir: local folder; holds the MLflow store where no other is configured.
        report: told of progress.
        model_uri: `models:/name/version`; the newest version of the recipe's model by default.
        dataset_version: the one the model was trained on by default.

    Raises:
        ModelError: there is no such model, it does not fit the dataset, or it predicts nonsense.
        DatasetError: the dataset version is gone.
        RankError: a rank died.
    """
    started = time.monotonic()
    report(Progress("finding the model"))
    store = Store.of(recipe, workdir, os.environ)
    model = find_model(store, model_uri)
    root = _root(recipe, model)
    trained_on = model.facts["dataset_version"]
    version = trained_on if dataset_version is None else dataset_version
    # Figures on other rows get a name of their own, and never take the place of the first.
    prefix = "test" if version == trained_on else f"test_on_version_{version}"
    dataset = DatasetVersion.open(root, version)
    if dataset.build.transform_digest != model.facts["transform_digest"]:
        raise ModelError(
            f"model {model.uri} was trained with another transform than dataset {root} version "
            f"{version} was prepared with, so the ids and scales differ; evaluate it on version "
            f"{trained_on}, or train again"
        )
    if not dataset.rows("test"):
        raise ModelError(
            f"dataset {root} version {version} has no test rows; set split.fractions.test above 0"
        )
    with tempfile.TemporaryDirectory(prefix="headrace-evaluate-") as folder:
        keras_file = model_file(store, model, "keras_model", folder)
        report(Progress(f"starting {recipe.train.ranks} ranks"))
        task = RankTask(
            target="pipelines.evaluate.rank:evaluate_rank",
            payload={
                "recipe": recipe.resolved(),
                "workdir": workdir,
                "dataset": {"root": root, "version": version},
                "keras_file": keras_file,
                "run_id": model.run_id,
                "prefix": prefix,
            },
            threads_per_rank=recipe.train.threads_per_rank,
            collective_timeout=recipe.train.collective_timeout,
        )
        metrics = run_ranks(task, recipe.train.ranks, report)["metrics"]
    tags = {f"{prefix}_{k}": f"{metrics[k]:.6f}" for k in _METRICS_TAGGED if k in metrics}
    tag_model(store, model, tags)
    seconds = {"total": round(time.monotonic() - started, 2)}
    return Evaluated(model.run_id, model.uri, dataset, metrics, seconds)


def _root(recipe: Recipe, model: ModelVersion) -> str:
    """The dataset's folder; the model knows it, but without credentials."""
    known: str = model.facts["dataset_root"]
    own = absolute_root(recipe.dataset.path)
    return own if redact_text(own) == known else known
