"""Search for better values of a recipe's keys: the command tune."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.commands.console import Console, LogFormat
from headrace.commands.first_checks import check_recipe_folders
from headrace.commands.frame import open_command
from headrace.commands.launch_options import refuse_launched_ranks, require_collectives
from headrace.commands.options import (
    DatasetVersionNumber,
    Json,
    Log,
    Ranks,
    RecipePath,
    Set,
    Workdir,
    load_with_overrides,
)
from headrace.errors import Problem, RecipeError
from headrace.number_text import format_number
from headrace.recipe import Recipe
from headrace.recipe.load import load_recipe_text, read_recipe
from headrace.redaction import redact_recipe
from headrace.tracking.store import Store

Trials = Annotated[
    int | None, typer.Option(min=1, help="Number of trainings; overrides tune.trials.")
]
Parallel = Annotated[
    int | None, typer.Option(min=1, help="Trials at a time; overrides tune.parallel.")
]
Output = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="File for the best recipe; by default WORKDIR/tune/NAME.best.yaml."
    ),
]


def tune(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    ranks: Ranks = None,
    trials: Trials = None,
    parallel: Parallel = None,
    output: Output = None,
    dataset_version: DatasetVersionNumber = None,
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """Search for better values of the keys under `tune.parameters`, one training per trial.

    Each trial is a child run of the search's MLflow run. Trials that do worse than half of the
    others are stopped early. The best recipe is written to a file. The same command resumes a
    search that was interrupted, on the dataset version on which it began.

    Example: headrace tune conf/flights.yaml --trials 20
    """
    with open_command("tune", json_, log_format, extras=["train"]) as command:
        overrides = [
            *(set_ or []),
            *([f"tune.trials={trials}"] if trials else []),
            *([f"tune.parallel={parallel}"] if parallel else []),
        ]
        text = read_recipe(recipe)
        loaded = load_with_overrides(recipe, workdir, overrides, ranks)
        require_collectives(loaded)
        if not loaded.tune.parameters:
            problem = Problem(
                "tune.parameters", "is empty", "list the keys to search, with the values to try"
            )
            raise RecipeError(recipe, loaded.locate([problem]))
        refuse_launched_ranks(loaded, "searches only once: run it alone, with --ranks")
        command.observe_stages(loaded)
        check_recipe_folders(loaded, workdir, trains=True, prepares=False)
        result = _run_search(
            command.console,
            loaded,
            workdir,
            overrides,
            (recipe, text),
            dataset_version,
            output,
        )
        command.report_result(result)


def _run_search(
    console: Console,
    recipe: Recipe,
    workdir: str,
    overrides: list[str],
    file: tuple[str, str],
    dataset_version: int | None,
    output: str | None,
) -> dict[str, Any]:
    from headrace.recipe.parse import dump_yaml
    from headrace.recipe.rewrite import format_overrides, write_recipe
    from headrace.tracking.metric_names import name_best_metrics
    from headrace.tracking.run import report_outage, start_parent_run
    from headrace.train.tune import tune_recipe as tune_stage

    path, text = file
    # What the search began with: whoever edits the file meanwhile changes none of its trials.
    environment = dict(os.environ)
    ranks = f"train.ranks={recipe.train.ranks}"

    def build_trial_recipe(values: dict[str, Any]) -> Recipe:
        return load_recipe_text(
            text,
            path,
            overrides=[*overrides, *format_overrides(values), ranks],
            workdir=workdir,
            environment=environment,
        )

    store = Store.from_recipe(recipe, workdir, os.environ)
    best_file = output or str(Path(workdir) / "tune" / f"{recipe.name}.best.yaml")
    name = f"{recipe.name}-tune"
    with (
        console.track_stage("tune") as report,
        start_parent_run(store, name, "tune", report) as parent,
    ):
        if parent:
            with report_outage(report):
                parent.log_recipe(recipe)
        tuned = tune_stage(
            recipe,
            build_trial_recipe,
            workdir=workdir,
            report=report,
            dataset_version=dataset_version,
            parent_run_id=parent.run_id if parent else None,
        )
        tree = write_recipe(text, [*overrides, *format_overrides(tuned.overrides)], best_file)
        if parent:
            with report_outage(report):
                parent.log_params({"best": tuned.overrides})
                parent.log_metrics(name_best_metrics({f"val_{recipe.tune.metric}": tuned.value}))
                parent.log_text(dump_yaml(redact_recipe(tree)), "best_recipe.yaml")
    console.print_summary(
        [
            *(f"  {key:<34} {value}" for key, value in tuned.overrides.items()),
            f"Best {recipe.tune.metric} {format_number(tuned.value)}, trials {tuned.trials}",
            f"Recipe   {best_file}",
        ]
    )
    return {
        "best": tuned.overrides,
        "value": tuned.value,
        "trials": tuned.trials,
        "dataset_version": tuned.dataset_version,
        "recipe": best_file,
        "run_id": parent.run_id if parent else None,
    }
