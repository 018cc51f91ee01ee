"""The stage commands: prepare, train, evaluate, and run, which does one after the other.

Engines are imported inside the functions, so that `--help` and a bad recipe answer at once.
"""

import os
from typing import Annotated, Any

import typer

from pipelines.commands import results
from pipelines.commands.console import Console
from pipelines.commands.guard import guarded
from pipelines.commands.options import (
    DatasetVersionNumber,
    Json,
    Ranks,
    RecipePath,
    Set,
    Workdir,
    recipe_of,
)
from pipelines.recipe import Recipe
from pipelines.recipe.redact import redact_text
from pipelines.tracking.store import Store

Full = Annotated[
    bool,
    typer.Option(
        "--full",
        help="Process every source partition, changed or not, with the transform as it is.",
    ),
]
Refit = Annotated[
    bool, typer.Option("--refit", help="Process everything and fit the transform again.")
]
GivenId = Annotated[
    str | None,
    typer.Option(
        "--build-id",
        metavar="ID",
        help="Publish once under this id, however often the command is run: for retries.",
    ),
]
RetryConflicts = Annotated[
    int,
    typer.Option(min=0, help="Begin again this often where another build was published meanwhile."),
]
ModelUri = Annotated[
    str | None,
    typer.Option("--model", metavar="URI", help="models:/NAME/VERSION or models:/NAME@ALIAS."),
]


def prepare(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    full: Full = False,
    refit: Refit = False,
    build_id: GivenId = None,
    retry_conflicts: RetryConflicts = 0,
    json_: Json = False,
) -> None:
    """Clean, split, fit, transform and publish: raw tables to a new dataset version.

    Runs on Spark. Every row read is accounted for, or nothing is published. Where the dataset has a
    version already, source partitions that are new or changed are processed, with the transform as
    it is; where nothing changed, nothing is done.

    Example: headrace prepare conf/flights.yaml --build-id nightly-2026-11-24
    """
    console = Console(json_)
    with guarded(console, "prepare"):
        loaded = recipe_of(recipe, workdir, set_)
        result = _prepare(
            console,
            loaded,
            workdir,
            full=full,
            refit=refit,
            given_id=build_id,
            retry_conflicts=retry_conflicts,
        )
        _sum_up(console, loaded, workdir, result)
        console.result({"command": "prepare", "ok": True, **result})


def train(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    ranks: Ranks = None,
    dataset_version: DatasetVersionNumber = None,
    json_: Json = False,
) -> None:
    """Train on a dataset version with Horovod and register the model in MLflow.

    The registered model takes raw rows: the fitted transform is inside its graph.

    Example: headrace train conf/flights.yaml --ranks 2 --set train.epochs=3
    """
    console = Console(json_)
    with guarded(console, "train"):
        loaded = recipe_of(recipe, workdir, set_, ranks)
        result = _train(console, loaded, workdir, dataset_version)
        _sum_up(console, loaded, workdir, result)
        console.result({"command": "train", "ok": True, **result})


def evaluate(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    ranks: Ranks = None,
    model: ModelUri = None,
    dataset_version: DatasetVersionNumber = None,
    json_: Json = False,
) -> None:
    """Judge a registered model on the test split: exact metrics over all ranks, and plots.

    By default the newest version of the recipe's model, on the dataset version it was trained on.

    Example: headrace evaluate conf/flights.yaml --model models:/flights/3
    """
    console = Console(json_)
    with guarded(console, "evaluate"):
        loaded = recipe_of(recipe, workdir, set_, ranks)
        result = _evaluate(console, loaded, workdir, model, dataset_version)
        _sum_up(console, loaded, workdir, result)
        console.result({"command": "evaluate", "ok": True, **result})


def run(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    ranks: Ranks = None,
    json_: Json = False,
) -> None:
    """The whole road: prepare, train, evaluate.

    Example: headrace run conf/flights.yaml --ranks 2 --json
    """
    console = Console(json_)
    with guarded(console, "run"):
        loaded = recipe_of(recipe, workdir, set_, ranks)
        prepared = _prepare(console, loaded, workdir)
        trained = _train(console, loaded, workdir, prepared["dataset"]["version"])
        evaluated = _evaluate(console, loaded, workdir, trained["model_uri"], None)
        result = results.merged(prepared, trained, evaluated)
        _sum_up(console, loaded, workdir, result)
        console.result({"command": "run", "ok": True, **result})


def _prepare(console: Console, recipe: Recipe, workdir: str, **asked: Any) -> dict[str, Any]:
    from pipelines.prepare import Asked
    from pipelines.prepare import prepare as prepare_stage
    from pipelines.prepare.record import record_build
    from pipelines.spark_session import stop_own_session

    with console.stage("prepare") as report:
        try:
            prepared = prepare_stage(recipe, workdir=workdir, report=report, asked=Asked(**asked))
        finally:
            stop_own_session()
    result = results.prepared_json(prepared)
    if not prepared.published:
        console.line(
            f"prepare: {prepared.why}; version {prepared.dataset.version} stays the newest"
        )
        return result
    try:
        store = Store.of(recipe, workdir, os.environ)
        result["prepare_run_id"] = record_build(recipe, prepared.dataset, prepared.seconds, store)
    except Exception as error:  # the dataset is there, whatever the tracking server says
        reason = redact_text(f"{type(error).__name__}: {error}".splitlines()[0])
        console.line(f"prepare: the build is published and MLflow has no record of it: {reason}")
    return result


def _train(
    console: Console, recipe: Recipe, workdir: str, dataset_version: int | None
) -> dict[str, Any]:
    from pipelines.train import train as train_stage

    with console.stage("train") as report:
        trained = train_stage(
            recipe, workdir=workdir, report=report, dataset_version=dataset_version
        )
    result = results.trained_json(trained)
    return {**result, "tracking_uri": Store.of(recipe, workdir, os.environ).shown}


def _evaluate(
    console: Console,
    recipe: Recipe,
    workdir: str,
    model_uri: str | None,
    dataset_version: int | None,
) -> dict[str, Any]:
    from pipelines.evaluate import evaluate as evaluate_stage

    with console.stage("evaluate") as report:
        evaluated = evaluate_stage(
            recipe,
            workdir=workdir,
            report=report,
            model_uri=model_uri,
            dataset_version=dataset_version,
        )
    result = results.evaluated_json(evaluated)
    return {**result, "tracking_uri": Store.of(recipe, workdir, os.environ).shown}


def _sum_up(console: Console, recipe: Recipe, workdir: str, result: dict[str, Any]) -> None:
    """What was done and where it is, for people."""
    from pipelines.lake.ledger import Ledger

    lines = results.ledger_lines(Ledger.model_validate(result["ledger"]))
    if result.get("published") and result["processed"]["read"] != result["ledger"]["read"]:
        lines = [
            *results.ledger_lines(Ledger.model_validate(result["processed"]), "Rows of this build"),
            *lines,
        ]
    if "metrics" in result:
        lines += results.metric_lines("Metrics", result["metrics"])
    lines.append(f"Dataset  {result['dataset']['path']}, version {result['dataset']['version']}")
    if "report" in result:
        lines.append(f"Report   {result['report']}")
    if result.get("quarantine"):
        lines.append(f"Rejected {result['quarantine']}")
    if "model_uri" in result:
        store = Store.of(recipe, workdir, os.environ)
        lines.append(f"Model    {result['model_uri']} (takes raw rows), run {result['run_id']}")
        lines.append(f"MLflow   {store.open_command()}")
    for line in lines:
        console.line(line)
