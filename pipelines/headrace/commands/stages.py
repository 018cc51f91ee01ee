"""Run the stages of the pipeline: the commands prepare, train, evaluate, and run for all three.

Engines are imported inside the functions, so that `--help` and a bad recipe answer at once.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.commands import results
from headrace.commands.beside_stages import keep_ranks, open_parent_run
from headrace.commands.console import Console, LogFormat
from headrace.commands.exit_codes import choose_exit_code, note_interruption
from headrace.commands.first_checks import (
    check_first,
    check_functions,
    check_recipe_folders,
    check_tables,
)
from headrace.commands.frame import Command, open_command
from headrace.commands.launch_options import (
    Hosts,
    Launcher,
    MaxRanks,
    MinRanks,
    load_with_launch_options,
    refuse_launched_ranks,
    require_collectives,
    run_as_follower,
)
from headrace.commands.next_commands import (
    NextCommands,
    describe_repetition,
    format_next,
)
from headrace.commands.options import (
    BuildId,
    DatasetVersionNumber,
    Json,
    Log,
    ModelUri,
    Ranks,
    RecipePath,
    Set,
    Workdir,
    load_with_overrides,
)
from headrace.commands.pipeline_outcome import complete_parent_run
from headrace.errors import get_first_line
from headrace.extras import EXTRAS, list_missing_modules, require_extras
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.tracking.environment import find_tracking_uri
from headrace.tracking.store import Store

if TYPE_CHECKING:
    from headrace.distributed.supervise.kept_ranks import KeptRanks

Full = Annotated[
    bool,
    typer.Option(
        "--full",
        help="Process every source partition, changed or not, with the existing transform.",
    ),
]
Refit = Annotated[
    bool,
    typer.Option("--refit", help="Process every source partition and fit the transform again."),
]
RetryConflicts = Annotated[
    int,
    typer.Option(
        min=0, help="Start again up to this many times if another build is published meanwhile."
    ),
]
Resume = Annotated[
    str,
    typer.Option(
        metavar="auto|never|CHECKPOINT",
        help="Resume an unfinished training of this recipe (auto), start anew (never), or continue "
        "from this checkpoint.",
    ),
]


def prepare(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    full: Full = False,
    refit: Refit = False,
    build_id: BuildId = None,
    retry_conflicts: RetryConflicts = 0,
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """Clean, split, fit, transform and publish: raw tables to a new dataset version.

    Runs on Spark. Every row read is accounted for, or nothing is published. If the dataset already
    has a version, only source partitions that are new or changed are processed, with the existing
    transform; if nothing changed, nothing is done.

    Example: headrace prepare conf/flights.yaml --build-id nightly-2026-11-24
    """
    following = NextCommands(recipe, workdir, set_ or ())
    with open_command("prepare", json_, log_format) as command:
        loaded = command.open_recipe(recipe, workdir, set_)
        if find_tracking_uri(loaded.tracking.uri, os.environ):
            require_extras(["tracking"])
        check_recipe_folders(loaded, workdir, trains=False, prepares=True)
        result = _run_prepare(
            command.console,
            loaded,
            workdir,
            full=full,
            refit=refit,
            idempotency_id=build_id,
            retry_conflicts=retry_conflicts,
        )
        _report_result(command, loaded, workdir, result, following)


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
    was interrupted resumes from its newest complete checkpoint; SIGTERM leaves one and ends with
    exit code 143.

    Example: headrace train conf/flights.yaml --ranks 2 --set train.epochs=3
    """
    following = NextCommands(recipe, workdir, set_ or ())
    with open_command("train", json_, log_format, extras=["train"]) as command:
        launch = {
            "ranks": ranks,
            "min_ranks": min_ranks,
            "max_ranks": max_ranks,
            "launcher": launcher,
            "hosts": hosts,
        }
        loaded = load_with_launch_options(recipe, workdir, set_, launch)
        require_collectives(loaded)
        if run_as_follower(loaded):
            return
        command.observe_stages(loaded)
        check_recipe_folders(loaded, workdir, trains=True, prepares=False)
        check_functions(loaded)
        result = _run_train(command.console, loaded, workdir, dataset_version, resume)
        _report_result(command, loaded, workdir, result, following)


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
    """Evaluate a registered model on the test split: exact metrics, slices, plots, and a verdict.

    By default the newest version of the recipe's model, on the dataset version it was trained on.
    Exit code 3 if a gate of the recipe fails; all results are recorded in that case too.

    Example: headrace evaluate conf/flights.yaml --model models:/flights/3
    """
    following = NextCommands(recipe, workdir, set_ or ())
    with open_command("evaluate", json_, log_format, extras=["train"]) as command:
        launch = {"ranks": ranks, "launcher": launcher, "hosts": hosts}
        loaded = load_with_launch_options(recipe, workdir, set_, launch)
        require_collectives(loaded)
        if run_as_follower(loaded):
            return
        command.observe_stages(loaded)
        check_first(workdir, engine=loaded.stream.engine)
        result = _run_evaluate(command.console, loaded, workdir, model, dataset_version)
        _report_result(command, loaded, workdir, result, following)


def run(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    ranks: Ranks = None,
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """Run the whole pipeline: prepare, train, evaluate; exit code 3 if a gate fails.

    Example: headrace run conf/flights.yaml --ranks 2 --json
    """
    following = NextCommands(recipe, workdir, set_ or ())
    with open_command("run", json_, log_format, extras=["train"]) as command:
        loaded = load_with_overrides(recipe, workdir, set_, ranks)
        require_collectives(loaded)
        refuse_launched_ranks(
            loaded,
            "prepares only once: run `headrace prepare` alone, then `headrace train` once per rank",
        )
        command.console.print_step("run", "checking folders and tables")
        command.observe_stages(loaded)
        check_recipe_folders(loaded, workdir, trains=True, prepares=True)
        check_functions(loaded)
        check_tables(loaded)
        result = _run_stages(command.console, loaded, workdir, following)
        _report_result(command, loaded, workdir, result, following, dataset_shown=True)


def _run_stages(
    console: Console, recipe: Recipe, workdir: str, following: NextCommands
) -> dict[str, Any]:
    with (
        keep_ranks(recipe, workdir) as kept,
        open_parent_run(console, recipe, workdir) as find_parent,
    ):
        prepared = _run_prepare(console, recipe, workdir, find_parent)
        console.print_summary(results.format_dataset(prepared))
        run_id = find_parent()
        version = prepared["dataset"]["version"]
        trained = _run_train(
            console, recipe, workdir, version, parent_run_id=run_id, kept_ranks=kept
        )
        model = trained["model_uri"]
        with note_interruption(
            f"the model is registered: {model}",
            f"to go on: {following.build('evaluate', '--model', model)}",
        ):
            evaluated = _run_evaluate(console, recipe, workdir, model, None, kept_ranks=kept)
        result = results.merge_results(prepared, trained, evaluated)
        url = complete_parent_run(console, recipe, workdir, run_id, result)
    return {**result, **url, "pipeline_run_id": run_id}


def _run_prepare(
    console: Console,
    recipe: Recipe,
    workdir: str,
    find_parent: Callable[[], str | None] = lambda: None,
    **options: Any,
) -> dict[str, Any]:
    """Prepare, and record the build in MLflow.

    Args:
        console, recipe, workdir: of the command.
        find_parent: waits for the MLflow run that the record is shown below, and returns its id.
        options: of `BuildRequest`.
    """
    from headrace.prepare import BuildRequest
    from headrace.prepare import prepare as prepare_stage
    from headrace.prepare.track import record_build
    from headrace.spark_session import stop_own_session_afterwards

    with (
        note_interruption(
            "prepare publishes all of a version or nothing", f"to go on: {describe_repetition()}"
        ),
        console.track_stage("prepare") as report,
    ):
        with stop_own_session_afterwards():
            prepared = prepare_stage(
                recipe,
                workdir=workdir,
                report=report,
                request=BuildRequest(**options),
                wait_for=find_parent,
            )
        report.result = result = results.build_prepare_result(prepared)
    if not prepared.published:
        console.print_line(
            f"prepare: {prepared.why}; version {prepared.dataset.version} stays the newest"
        )
        return result
    if list_missing_modules(EXTRAS["tracking"]):
        console.print_line(
            "prepare: MLflow is not installed here, so it has no record of the build "
            f"({EXTRAS['train'].install_command})"
        )
        return result
    parent_run_id = find_parent()
    try:
        store = replace(Store.from_recipe(recipe, workdir, os.environ), parent=parent_run_id)
        result["prepare_run_id"] = record_build(recipe, prepared.dataset, prepared.seconds, store)
        result["tracking_uri"] = store.redacted_uri
    except Exception as error:  # the dataset is published, whatever the tracking server says
        reason = redact_text(f"{type(error).__name__}: {get_first_line(error)}")
        console.print_line(
            f"prepare: the build is published and MLflow has no record of it: {reason}"
        )
    return result


def _run_train(
    console: Console,
    recipe: Recipe,
    workdir: str,
    dataset_version: int | None,
    resume: str = "auto",
    parent_run_id: str | None = None,
    kept_ranks: "KeptRanks | None" = None,
) -> dict[str, Any]:
    from headrace.train import train as train_stage

    with (
        note_interruption(f"to go on: {describe_repetition()}"),
        console.track_stage("train") as report,
    ):
        trained = train_stage(
            recipe,
            workdir=workdir,
            report=report,
            dataset_version=dataset_version,
            resume=resume,
            parent_run_id=parent_run_id,
            kept_ranks=kept_ranks,
        )
        report.result = result = results.build_train_result(trained)
    return {**result, "tracking_uri": Store.from_recipe(recipe, workdir, os.environ).redacted_uri}


def _run_evaluate(
    console: Console,
    recipe: Recipe,
    workdir: str,
    model_uri: str | None,
    dataset_version: int | None,
    kept_ranks: "KeptRanks | None" = None,
) -> dict[str, Any]:
    from headrace.evaluate import evaluate as evaluate_stage

    with console.track_stage("evaluate") as report:
        evaluated = evaluate_stage(
            recipe,
            workdir=workdir,
            report=report,
            model_uri=model_uri,
            dataset_version=dataset_version,
            kept_ranks=kept_ranks,
        )
        report.result = result = results.build_evaluate_result(evaluated)
    return {**result, "tracking_uri": Store.from_recipe(recipe, workdir, os.environ).redacted_uri}


def _report_result(
    command: Command,
    recipe: Recipe,
    workdir: str,
    result: dict[str, Any],
    following: NextCommands,
    *,
    dataset_shown: bool = False,
) -> None:
    """Report what was done, where it is and what follows, in words and as JSON.

    Args:
        command, recipe, workdir, result: of the command.
        following: writes the commands to go on with.
        dataset_shown: whether what is about the dataset was printed before.
    """
    console, verdict = command.console, result.get("verdict")
    lines = [] if dataset_shown else results.format_dataset(result)
    if "model_uri" in result:
        store = Store.from_recipe(recipe, workdir, os.environ)
        if verdict and (path := _locate_report(store, result)):
            result["evaluation_report_path"] = path
        lines += results.format_model(
            result,
            store.format_open_command(),
            verbose=console.settings.verbose,
        )
    result["next"] = _list_next_commands(recipe, workdir, result, following)
    for line in lines:
        is_command = line.startswith("MLflow ")  # which is copied, and so never broken
        (console.print_commands if is_command else console.print_summary)([line])
    console.print_commands(format_next(result["next"]))
    command.report_result(result, choose_exit_code(verdict) if verdict else 0)


def _list_next_commands(
    recipe: Recipe, workdir: str, result: dict[str, Any], following: NextCommands
) -> list[str]:
    """Return the commands that follow the last stage of a result."""
    if not result.get("model_uri"):
        return [] if "model_uri" in result else [following.build("train")]
    if "verdict" not in result:
        return [following.build("evaluate")]
    store = Store.from_recipe(recipe, workdir, os.environ)
    table = recipe.source.tables[recipe.source.main]
    return following.list_after_evaluation(
        result["model_uri"],
        store.redacted_uri,
        str(table.path or table.table),
        passed=result["verdict"]["passed"] is not False,
    )


def _locate_report(store: Store, result: dict[str, Any]) -> str | None:
    """Return where the report of an evaluation is; None where the server does not say."""
    from headrace.tracking.artifact_place import locate_artifact

    try:
        return locate_artifact(store, result["run_id"], result["evaluation_report"])
    except Exception:  # everything is done and recorded, whatever the server says now
        return None
