"""The stage commands: prepare, train, evaluate, and run, which does one after the other.

Engines are imported inside the functions, so that `--help` and a bad recipe answer at once.
"""

import os
from dataclasses import replace
from typing import Annotated, Any

import typer

from headrace.commands import results
from headrace.commands.console import Console, LogFormat
from headrace.commands.exit_codes import guarded
from headrace.commands.launch_options import (
    Hosts,
    Launcher,
    MaxRanks,
    MinRanks,
    followed,
    launch_recipe_of,
    refuse_launched,
)
from headrace.commands.observers import observers_of
from headrace.commands.options import (
    DatasetVersionNumber,
    GivenId,
    Json,
    Log,
    Ranks,
    RecipePath,
    Set,
    Workdir,
    recipe_of,
)
from headrace.commands.promote import ModelUri, end_as_judged, judged
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.tracking.store import Store

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
RetryConflicts = Annotated[
    int,
    typer.Option(min=0, help="Begin again this often where another build was published meanwhile."),
]
Resume = Annotated[
    str,
    typer.Option(
        metavar="auto|never|CHECKPOINT",
        help="Continue a training of this recipe that did not finish, begin anew, or go on from "
        "this checkpoint.",
    ),
]


def prepare(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    full: Full = False,
    refit: Refit = False,
    build_id: GivenId = None,
    retry_conflicts: RetryConflicts = 0,
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """Clean, split, fit, transform and publish: raw tables to a new dataset version.

    Runs on Spark. Every row read is accounted for, or nothing is published. Where the dataset has a
    version already, source partitions that are new or changed are processed, with the transform as
    it is; where nothing changed, nothing is done.

    Example: headrace prepare conf/flights.yaml --build-id nightly-2026-11-24
    """
    console = Console(json_, log_format)
    with guarded(console, "prepare"):
        loaded = recipe_of(recipe, workdir, set_)
        console.observers = observers_of(loaded, os.environ, console.line)
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
    min_ranks: MinRanks = None,
    max_ranks: MaxRanks = None,
    launcher: Launcher = None,
    hosts: Hosts = None,
    dataset_version: DatasetVersionNumber = None,
    resume: Resume = "auto",
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """Train on a dataset version with Horovod and register the model in MLflow.

    The registered model takes raw rows: the fitted transform is inside its graph. A training that
    was ended before it was done is continued from its newest whole checkpoint; SIGTERM leaves one
    and ends with exit code 143.

    Example: headrace train conf/flights.yaml --ranks 2 --set train.epochs=3
    """
    console = Console(json_, log_format)
    with guarded(console, "train"):
        launch = {
            "ranks": ranks,
            "min_ranks": min_ranks,
            "max_ranks": max_ranks,
            "launcher": launcher,
            "hosts": hosts,
        }
        loaded = launch_recipe_of(recipe, workdir, set_, launch)
        if followed(loaded):
            return
        console.observers = observers_of(loaded, os.environ, console.line)
        result = _train(console, loaded, workdir, dataset_version, resume)
        _sum_up(console, loaded, workdir, result)
        console.result({"command": "train", "ok": True, **result})


def evaluate(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    ranks: Ranks = None,
    launcher: Launcher = None,
    hosts: Hosts = None,
    model: ModelUri = None,
    dataset_version: DatasetVersionNumber = None,
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """Judge a registered model on the test split: exact metrics, slices, plots, and a verdict.

    By default the newest version of the recipe's model, on the dataset version it was trained on.
    Exit code 3 where a gate of the recipe failed; all figures are recorded then as well.

    Example: headrace evaluate conf/flights.yaml --model models:/flights/3
    """
    console = Console(json_, log_format)
    with guarded(console, "evaluate"):
        launch = {"ranks": ranks, "launcher": launcher, "hosts": hosts}
        loaded = launch_recipe_of(recipe, workdir, set_, launch)
        if followed(loaded):
            return
        console.observers = observers_of(loaded, os.environ, console.line)
        result = _evaluate(console, loaded, workdir, model, dataset_version)
        _sum_up(console, loaded, workdir, result)
        console.result(judged("evaluate", result))
    end_as_judged(result)


def run(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    ranks: Ranks = None,
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """The whole road: prepare, train, evaluate; exit code 3 where a gate failed.

    Example: headrace run conf/flights.yaml --ranks 2 --json
    """
    console = Console(json_, log_format)
    with guarded(console, "run"):
        loaded = recipe_of(recipe, workdir, set_, ranks)
        way = "run `headrace prepare` alone, then `headrace train` once a rank"
        refuse_launched(loaded, f"prepares once: {way}")
        console.observers = observers_of(loaded, os.environ, console.line)
        result = _run(console, loaded, workdir)
        _sum_up(console, loaded, workdir, result)
        console.result(judged("run", result))
    end_as_judged(result)


def _run(console: Console, recipe: Recipe, workdir: str) -> dict[str, Any]:
    from headrace.tracking.run import parent_run

    store = Store.of(recipe, workdir, os.environ)
    name = f"{recipe.name}-run"
    with parent_run(store, name, "run", lambda p: console.line(p.text)) as parent:
        run_id = parent.run_id if parent else None
        prepared = _prepare(console, recipe, workdir, run_id)
        version = prepared["dataset"]["version"]
        trained = _train(console, recipe, workdir, version, parent_run_id=run_id)
        evaluated = _evaluate(console, recipe, workdir, trained["model_uri"], None)
    return {**results.merged(prepared, trained, evaluated), "pipeline_run_id": run_id}


def _prepare(
    console: Console,
    recipe: Recipe,
    workdir: str,
    parent_run_id: str | None = None,
    **asked: Any,
) -> dict[str, Any]:
    from headrace.prepare import Asked
    from headrace.prepare import prepare as prepare_stage
    from headrace.prepare.track import record_build
    from headrace.spark_session import stop_own_session

    with console.stage("prepare") as report:
        try:
            prepared = prepare_stage(recipe, workdir=workdir, report=report, asked=Asked(**asked))
        finally:
            stop_own_session()
        report.result = result = results.prepared_json(prepared)
    if not prepared.published:
        console.line(
            f"prepare: {prepared.why}; version {prepared.dataset.version} stays the newest"
        )
        return result
    try:
        store = replace(Store.of(recipe, workdir, os.environ), parent=parent_run_id)
        result["prepare_run_id"] = record_build(recipe, prepared.dataset, prepared.seconds, store)
        result["tracking_uri"] = store.shown
    except Exception as error:  # the dataset is there, whatever the tracking server says
        reason = redact_text(f"{type(error).__name__}: {error}".splitlines()[0])
        console.line(f"prepare: the build is published and MLflow has no record of it: {reason}")
    return result


def _train(
    console: Console,
    recipe: Recipe,
    workdir: str,
    dataset_version: int | None,
    resume: str = "auto",
    parent_run_id: str | None = None,
) -> dict[str, Any]:
    from headrace.train import train as train_stage

    with console.stage("train") as report:
        trained = train_stage(
            recipe,
            workdir=workdir,
            report=report,
            dataset_version=dataset_version,
            resume=resume,
            parent_run_id=parent_run_id,
        )
        report.result = result = results.trained_json(trained)
    return {**result, "tracking_uri": Store.of(recipe, workdir, os.environ).shown}


def _evaluate(
    console: Console,
    recipe: Recipe,
    workdir: str,
    model_uri: str | None,
    dataset_version: int | None,
) -> dict[str, Any]:
    from headrace.evaluate import evaluate as evaluate_stage

    with console.stage("evaluate") as report:
        evaluated = evaluate_stage(
            recipe,
            workdir=workdir,
            report=report,
            model_uri=model_uri,
            dataset_version=dataset_version,
        )
        report.result = result = results.evaluated_json(evaluated)
    return {**result, "tracking_uri": Store.of(recipe, workdir, os.environ).shown}


def _sum_up(console: Console, recipe: Recipe, workdir: str, result: dict[str, Any]) -> None:
    """What was done and where it is, for people."""
    from headrace.lake.ledger import Ledger

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
    if "verdict" in result:
        lines += results.verdict_lines(result["verdict"])
        lines.append(f"Judged   {result['evaluation_report']}, an artifact of the model's run")
    if "model_uri" in result:
        store = Store.of(recipe, workdir, os.environ)
        lines.append(f"Model    {result['model_uri']} (takes raw rows), run {result['run_id']}")
        lines.append(f"MLflow   {store.open_command()}")
    console.summary(lines)
