"""The command that searches for better values of a recipe's keys."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.commands.console import Console, LogFormat
from headrace.commands.exit_codes import guarded
from headrace.commands.launch_options import refuse_launched
from headrace.commands.observers import observers_of
from headrace.commands.options import (
    DatasetVersionNumber,
    Json,
    Log,
    Ranks,
    RecipePath,
    Set,
    Workdir,
    recipe_of,
)
from headrace.errors import Problem, RecipeError
from headrace.recipe import Recipe
from headrace.tracking.store import Store

Trials = Annotated[int | None, typer.Option(min=1, help="Overrides tune.trials.")]
Output = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="For the best recipe; tune/NAME.best.yaml in the workdir."),
]


def tune(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    ranks: Ranks = None,
    trials: Trials = None,
    output: Output = None,
    dataset_version: DatasetVersionNumber = None,
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """Search for better values of the keys under `tune.parameters`, by training after training.

    Each trial is a run of its own below one of the search. Trials that are worse than half of the
    others are ended early. The best recipe is written to a file. The same command goes on with a
    search that was ended.

    Example: headrace tune conf/flights.yaml --trials 20
    """
    console = Console(json_, log_format)
    with guarded(console, "tune"):
        overrides = [*(set_ or []), *([f"tune.trials={trials}"] if trials else [])]
        loaded = recipe_of(recipe, workdir, overrides, ranks)
        if not loaded.tune.parameters:
            why = Problem("tune.parameters", "is empty", "say which keys to try, and what for them")
            raise RecipeError(recipe, [why])
        refuse_launched(loaded, "searches once: run it alone, with --ranks")
        console.observers = observers_of(loaded, os.environ, console.line)
        result = _tune(console, loaded, workdir, overrides, recipe, dataset_version, output)
        console.result({"command": "tune", "ok": True, **result})


def _tune(
    console: Console,
    recipe: Recipe,
    workdir: str,
    overrides: list[str],
    path: str,
    dataset_version: int | None,
    output: str | None,
) -> dict[str, Any]:
    from headrace.recipe.rewrite import words_of, write_recipe
    from headrace.tracking.run import parent_run, told
    from headrace.train.tune import tune as tune_stage

    store = Store.of(recipe, workdir, os.environ)
    best_file = output or str(Path(workdir) / "tune" / f"{recipe.name}.best.yaml")
    name = f"{recipe.name}-tune"
    with console.stage("tune") as report, parent_run(store, name, "tune", report) as parent:
        tuned = tune_stage(
            recipe,
            lambda values: recipe_of(
                path, workdir, [*overrides, *words_of(values)], recipe.train.ranks
            ),
            workdir=workdir,
            report=report,
            dataset_version=dataset_version,
            parent_run_id=parent.run_id if parent else None,
        )
        text = write_recipe(path, [*overrides, *words_of(tuned.overrides)], best_file)
        if parent:
            with told(report):
                parent.params({"best": tuned.overrides})
                parent.metrics({f"best_val_{recipe.tune.metric}": tuned.value})
                parent.text(text, "best_recipe.yaml")
    console.summary(
        [
            *(f"  {key:<34} {value}" for key, value in tuned.overrides.items()),
            f"Best {recipe.tune.metric} {tuned.value:.5g}, trials {tuned.trials}",
            f"Recipe   {best_file}",
        ]
    )
    return {
        "best": tuned.overrides,
        "value": tuned.value,
        "trials": tuned.trials,
        "recipe": best_file,
        "run_id": parent.run_id if parent else None,
    }
