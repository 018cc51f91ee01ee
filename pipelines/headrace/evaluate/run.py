"""Run the evaluate stage: start ranks that evaluate a registered model on its dataset version.

The ranks log the results to the model's run; this module finds the model, the dataset and the
champion before, and records the verdict with the model version afterwards.
"""

import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from headrace.distributed.choose_ranks import choose_ranks
from headrace.distributed.run_ranks import resolve_launcher, run_ranks
from headrace.distributed.supervise.kept_ranks import KeptRanks
from headrace.distributed.task import RankTask
from headrace.errors import ModelError
from headrace.evaluate.champion import (
    describe_champion,
    open_dataset_if_there,
    resolve_dataset_root,
)
from headrace.evaluate.describe import describe_evaluation
from headrace.labels.losses.kinds import OWN_LOSSES, describe_loss
from headrace.labels.spec import LabelSpec
from headrace.lake.task import describe_dataset_task
from headrace.lake.version import DatasetVersion
from headrace.number_text import format_number
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.tracking.descriptions import describe_version
from headrace.tracking.environment import select_tracking_variables
from headrace.tracking.model import ModelVersion, find_model, tag_model
from headrace.tracking.registry import find_champion, record_verdict
from headrace.tracking.run import resume_run
from headrace.tracking.store import Store
from headrace.transform.list_columns import find_list_columns
from headrace.transform.slice_columns import find_slice_problems
from headrace.transform.spec import TransformSpec


@dataclass(frozen=True)
class Evaluated:
    """The result of the evaluate stage.

    Attributes:
        run_id: the MLflow run of the model, to which the metrics are logged (`test/…`).
        model_uri: of the evaluated model version.
        dataset: on whose test split it was evaluated.
        metrics: of the test split; see the scorer of the label's kind.
        verdict: whether the model may be promoted, and every gate, as plain values.
        report: artifact path of the HTML page in the run.
        seconds: time per step.
        headline: names of the metrics that say most, the first one most; see `list_headlines`.
        run_url: address of the run's page, see `Store.format_run_url`.
    """

    run_id: str
    model_uri: str
    dataset: DatasetVersion
    metrics: dict[str, float]
    verdict: dict[str, Any]
    report: str
    seconds: dict[str, float]
    headline: tuple[str, ...] = ()
    run_url: str | None = None


def evaluate(
    recipe: Recipe,
    *,
    workdir: str,
    report: Report,
    model_uri: str | None = None,
    dataset_version: int | None = None,
    kept_ranks: KeptRanks | None = None,
) -> Evaluated:
    """Evaluate a model on the test split, log the result to its run, and record the verdict.

    Args:
        recipe: train, stream, evaluate and tracking are read.
        workdir: local folder; holds the MLflow store where no other is configured.
        report: called with progress.
        model_uri: `models:/name/version`; the newest version of the recipe's model by default.
        dataset_version: the version that the model was trained on by default.
        kept_ranks: processes of ranks that are there already.

    Raises:
        ModelError: there is no such model, it does not fit the dataset, or a prediction is not
            finite.
        DatasetError: the dataset version is gone.
        RankError: a rank died.
    """
    started = time.monotonic()
    report(Progress("finding the model"))
    store = Store.from_recipe(recipe, workdir, os.environ)
    model = find_model(store, model_uri)
    root = resolve_dataset_root(recipe, model)
    trained_on = model.metadata["dataset_version"]
    version = trained_on if dataset_version is None else dataset_version
    # Metrics on another version have names of their own, and never overwrite the first ones.
    prefix = "test" if version == trained_on else f"test_on_version_{version}"
    dataset = DatasetVersion.open(root, version)
    if dataset.build.transform_digest != model.metadata["transform_digest"]:
        raise ModelError(
            f"model {model.uri} was trained with another transform than dataset {root} version "
            f"{version} was prepared with, so the ids and scales differ; evaluate it on version "
            f"{trained_on}, or train again"
        )
    if not dataset.count_rows("test"):
        raise ModelError(
            f"dataset {root} version {version} has no test rows; set split.fractions.test above 0"
        )
    _refuse_slices(recipe, dataset)
    label = _refuse_other_loss(recipe, model, dataset)
    champion, seen = _prepare_comparison(recipe, find_champion(store), model, dataset)
    judged_task = describe_dataset_task(dataset)
    choice = choose_ranks(recipe, dataset.count_rows("train"))
    recipe = choice.recipe
    report(Progress(choice.describe()))
    folder = f"evaluation/{prefix}"
    task = RankTask(
        target="headrace.evaluate.rank:evaluate_rank",
        payload={
            "recipe": recipe.dump_resolved(),
            "recipe_folder": recipe.folder,
            "workdir": workdir,
            "dataset": {"root": root, "version": version},
            "model_uri": model.uri,
            "model_bytes": model.metadata.get("model_bytes"),
            "run_id": model.run_id,
            "prefix": prefix,
            "folder": folder,
            "threshold": resolve_threshold(model, recipe),
            "champion": champion,
            "seen": seen,
            "task": judged_task.model_dump(mode="json") if judged_task else None,
            "now": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        collectives=recipe.train.collectives,
        threads_per_rank=recipe.train.threads_per_rank,
        collective_timeout=recipe.train.collective_timeout,
        environment=select_tracking_variables(os.environ),
    )
    launcher = resolve_launcher(recipe, workdir, kept_ranks)
    result = run_ranks(task, choice.ranks, report, launcher)
    metrics, verdict = result["metrics"], result["verdict"]
    tagged_metrics = [name for name in label.tagged_metrics if name in metrics]
    tags = {f"{prefix}_{name}": format_number(metrics[name], 6) for name in tagged_metrics}
    tag_model(store, model, tags)
    with resume_run(store, model.run_id) as run:
        run_url = run.url
        if version == trained_on:  # metrics on another version are for information only
            record_verdict(store, model, f"{folder}/verdict.json", passed=verdict["passed"])
            run.describe(describe_evaluation(recipe, dataset, metrics, result["headline"], verdict))
            describe_version(store, model.name, model.version, result["card"])
    return Evaluated(
        run_id=model.run_id,
        model_uri=model.uri,
        dataset=dataset,
        metrics=metrics,
        verdict=verdict,
        report=f"{folder}/report.html",
        seconds={"total": round(time.monotonic() - started, 2)},
        headline=tuple(result["headline"]),
        run_url=run_url,
    )


def resolve_threshold(model: ModelVersion, recipe: Recipe) -> float:
    """Return the threshold that the model was registered with, unless the recipe sets a number.

    So another threshold can be tried without training.
    """
    threshold = recipe.evaluate.threshold
    if isinstance(threshold, float) and "threshold" in recipe.evaluate.model_fields_set:
        return threshold
    return float(model.metadata.get("threshold", 0.5))


def _prepare_comparison(
    recipe: Recipe, champion: ModelVersion | None, model: ModelVersion, dataset: DatasetVersion
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return what the ranks need to compare a model with the champion.

    Returns:
        the description of the champion, see `describe_champion`, None where there is none; and the
        dataset that says which rows the model itself has seen, None where it is the one that it is
        evaluated on.
    """
    if champion is None:
        return None, None
    description = describe_champion(recipe, champion, model, dataset)
    root, version = resolve_dataset_root(recipe, model), model.metadata["dataset_version"]
    if description["same"] or (root, version) == (dataset.root, dataset.version):
        return description, None
    _, reason = open_dataset_if_there(root, version)
    if reason and not description["why_not"]:
        description["why_not"] = (
            f"the dataset version that {model.uri} was trained on, and that alone says which rows "
            f"it has seen, is gone: {reason}"
        )
    return description, {"root": root, "version": version}


def _refuse_other_loss(recipe: Recipe, model: ModelVersion, dataset: DatasetVersion) -> LabelSpec:
    """Refuse a model that was trained with another loss than the recipe names.

    The recipe's gates and metrics are about its own. What the model names is compared alone, and
    never run.

    Returns:
        the dataset's label with the loss.

    Raises:
        ModelError: the losses differ, or the source of the user's own.
    """
    settings = recipe.train
    label = TransformSpec.from_json(dataset.transform_json).label.with_loss(settings.loss)
    here, there = (
        describe_loss(label.loss, recipe.folder),
        {key: model.metadata[key] for key in ("loss", "loss_source") if key in model.metadata},
    )
    if here == there:
        return label
    own = {"kind": OWN_LOSSES[label.kind]}
    shown = [json.dumps(item.get("loss", own)) for item in (there, here)]
    if shown[0] == shown[1]:
        raise ModelError(
            f"model {model.uri} was trained with the loss {label.loss.function} of another file "  # type: ignore[union-attr]
            f"(SHA-256 {there.get('loss_source')}, here {here.get('loss_source')}); evaluate it "
            "with the file of then, or train again"
        )
    raise ModelError(
        f"model {model.uri} was trained with train.loss {shown[0]}, and the recipe has {shown[1]}: "
        "its metrics and gates are about another loss; evaluate the model with its own, or train "
        "again"
    )


def _refuse_slices(recipe: Recipe, dataset: DatasetVersion) -> None:
    """Refuse slices and lists by columns that the dataset does not have, or that limits cannot
    divide.

    Raises:
        ModelError: there are such columns; all of them are named.
    """
    spec = TransformSpec.from_json(dataset.transform_json, files=dataset.text_files)
    problems = find_slice_problems(recipe.evaluate.slices, spec, dataset.build)
    if recipe.evaluate.ranking is not None:
        problems += find_list_columns(recipe.evaluate.ranking, spec, dataset.build)[1]
    if problems:
        raise ModelError(
            f"dataset {dataset.root} version {dataset.version}: {'; '.join(map(str, problems))}"
        )
