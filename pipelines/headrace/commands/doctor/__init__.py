"""The doctor command: is this machine, and what a recipe needs of others, fit to run it?"""

import os
from typing import Annotated

import typer

from headrace.commands.console import Console
from headrace.commands.doctor.finding import Check, Finding, State
from headrace.commands.exit_codes import guarded
from headrace.commands.options import Json, Set, Workdir, recipe_of
from headrace.errors import EXIT_FAILED_RUN
from headrace.recipe import Recipe

OptionalRecipe = Annotated[
    str | None,
    typer.Argument(metavar="RECIPE", help="Its tables, dataset and MLflow are tried as well."),
]


def doctor(
    recipe: OptionalRecipe = None,
    workdir: Workdir = "var",
    set_: Set = None,
    json_: Json = False,
) -> None:
    """Look for what would fail later: Java, Spark, TensorFlow, Horovod, GPUs, stores, disk, clock.

    Says what is wrong and the fix. Exit code 1 where something is broken; a warning is none.

    Example: headrace doctor conf/flights.yaml
    """
    console = Console(json_)
    with guarded(console, "doctor"):
        loaded = recipe_of(recipe, workdir, set_) if recipe else None
        found = []
        for check in checks_of(loaded, workdir):
            for finding in check():
                found.append(finding)
                console.summary(_lines(finding))
        broken = [f.name for f in found if f.state is State.FAIL]
        warned = [f.name for f in found if f.state is State.WARN]
        console.line(f"{len(found)} checks, {len(broken)} failed, {len(warned)} warnings")
        code = {"exit_code": EXIT_FAILED_RUN} if broken else {}
        console.result(
            {
                "command": "doctor",
                "ok": not broken,
                **code,
                "findings": [finding.plain() for finding in found],
            }
        )
    if broken:
        raise typer.Exit(EXIT_FAILED_RUN)


def checks_of(recipe: Recipe | None, workdir: str) -> list[Check]:
    """Everything there is to look at, what fails most often and fastest first."""
    from headrace.commands.doctor import engines, machine, services

    checks: list[Check] = [
        machine.python,
        machine.limits,
        machine.memory,
        lambda: machine.disk(workdir),
        machine.host_name,
        engines.java,
        lambda: engines.spark(recipe, workdir),
        engines.tensorflow,
        engines.gpus,
        lambda: services.mlflow(recipe, workdir),
    ]
    if recipe is not None:
        checks += [lambda: services.tables(recipe), lambda: services.dataset(recipe)]
    checks.append(lambda: services.clock(recipe, os.environ))
    return checks


def _lines(finding: Finding) -> list[str]:
    line = f"{finding.state:<5} {finding.name}: {finding.what}"
    return [line, f"      {finding.fix}"] if finding.fix else [line]
