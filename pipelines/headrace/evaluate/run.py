"""The evaluate stage: a registered model and its dataset version in, a verdict in its run out."""

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from headrace.distributed.run_ranks import launcher_of, run_ranks
from headrace.distributed.task import RankTask
from headrace.errors import DamagedError, DatasetError, ModelError, UnreachableError
from headrace.lake.storage import absolute_root
from headrace.lake.version import DatasetVersion
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.tracking.model import ModelVersion, find_model, tag_model
from headrace.tracking.registry import champion_of, note_verdict
from headrace.tracking.store import Store, tracking_variables
from headrace.transform.spec import TransformSpec

# Of the metrics that the label's kind has; they are shown with the model version.
_METRICS_TAGGED = (
    *("roc_auc", "pr_auc", "f1", "log_loss"),  # binary
    *("accuracy", "f1_macro"),  # classes
    *("exact_match", "f1_micro", "roc_auc_macro"),  # multi_label
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
        verdict: whether it may be promoted, and every gate, as plain values.
        report: artifact path of the HTML page in the run.
        seconds: time a step.
    """

    run_id: str
    model_uri: str
    dataset: DatasetVersion
    metrics: dict[str, float]
    verdict: dict[str, Any]
    report: str
    seconds: dict[str, float]


def evaluate(
    recipe: Recipe,
    *,
    workdir: str,
    report: Report,
    model_uri: str | None = None,
    dataset_version: int | None = None,
) -> Evaluated:
    """Evaluate a model on the test split, log the result to the model's run, and decide.

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
    _refuse_missing_columns(recipe, dataset)
    champion = champion_of(store)
    report(Progress(f"starting {recipe.train.ranks} ranks"))
    folder = f"evaluation/{prefix}"
    task = RankTask(
        target="headrace.evaluate.rank:evaluate_rank",
        payload={
            "recipe": recipe.resolved(),
            "workdir": workdir,
            "dataset": {"root": root, "version": version},
            "model_uri": model.uri,
            "model_bytes": model.facts.get("model_bytes"),
            "run_id": model.run_id,
            "prefix": prefix,
            "folder": folder,
            "threshold": threshold_of(model, recipe),
            "champion": _known(recipe, champion, model, dataset) if champion else None,
            "now": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        threads_per_rank=recipe.train.threads_per_rank,
        collective_timeout=recipe.train.collective_timeout,
        environment=tracking_variables(os.environ),
    )
    launcher = launcher_of(recipe, workdir)
    result = run_ranks(task, recipe.train.ranks, report, launcher)
    metrics, verdict = result["metrics"], result["verdict"]
    tags = {f"{prefix}_{k}": f"{metrics[k]:.6f}" for k in _METRICS_TAGGED if k in metrics}
    tag_model(store, model, tags)
    if version == trained_on:  # another split of rows is for information
        note_verdict(store, model, f"{folder}/verdict.json", passed=verdict["passed"])
    return Evaluated(
        run_id=model.run_id,
        model_uri=model.uri,
        dataset=dataset,
        metrics=metrics,
        verdict=verdict,
        report=f"{folder}/report.html",
        seconds={"total": round(time.monotonic() - started, 2)},
    )


def threshold_of(model: ModelVersion, recipe: Recipe) -> float:
    """The threshold that the model was registered with.

    A number in the recipe wins, so that another one can be tried without training.
    """
    asked = recipe.evaluate.threshold
    if isinstance(asked, float) and "threshold" in recipe.evaluate.model_fields_set:
        return asked
    return float(model.facts.get("threshold", 0.5))


def _known(
    recipe: Recipe, champion: ModelVersion, model: ModelVersion, dataset: DatasetVersion
) -> dict[str, Any]:
    """What the ranks need of the champion, and why there can be no comparison."""
    facts = champion.facts
    known: dict[str, Any] = {
        "uri": champion.uri,
        "same": champion.uri == model.uri,
        "threshold": float(facts.get("threshold", 0.5)),
        "dataset": {"root": dataset.root, "version": dataset.version},
        "why_not": "",
    }
    if facts["transform_digest"] == model.facts["transform_digest"] or known["same"]:
        return known
    # Its own rows, as its own transform made them; they are matched by their identity.
    root, version = _root(recipe, champion), facts["dataset_version"]
    try:
        own = DatasetVersion.open(root, version)
    except (UnreachableError, DamagedError):
        raise  # the store may be back, or somebody may repair it: that is no failed gate
    except DatasetError as error:
        gone = redact_text(str(error))
        return {**known, "why_not": f"the dataset of {champion.uri} is gone: {gone}"}
    if not own.rows("test"):
        return {**known, "why_not": f"the dataset of {champion.uri} has no test rows"}
    return {**known, "dataset": {"root": root, "version": version}}


def _refuse_missing_columns(recipe: Recipe, dataset: DatasetVersion) -> None:
    spec = TransformSpec.from_json(dataset.transform_json)
    known = {*(f.name for f in spec.features), *dataset.build.kept}
    wanted = [c for item in recipe.evaluate.slices for c in item.columns]
    missing = [column for column in dict.fromkeys(wanted) if column not in known]
    if missing:
        raise ModelError(
            f"dataset {dataset.root} version {dataset.version} has no column "
            f"{', '.join(missing)} for evaluate.slices; prepare it again with dataset.keep"
        )


def _root(recipe: Recipe, model: ModelVersion) -> str:
    """The dataset's folder; the model knows it, but without credentials."""
    known: str = model.facts["dataset_root"]
    own = absolute_root(recipe.dataset.path)
    return own if redact_text(own) == known else known
