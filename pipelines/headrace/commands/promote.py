"""Promote and rollback, and how a verdict becomes an exit code."""

import os
from typing import Annotated, Any

import typer

from headrace.commands.console import Console, LogFormat
from headrace.commands.exit_codes import guarded
from headrace.commands.observers import observers_of
from headrace.commands.options import Json, Log, RecipePath, Set, Workdir, recipe_of
from headrace.errors import EXIT_FAILED_GATE

ModelUri = Annotated[
    str | None,
    typer.Option("--model", metavar="URI", help="models:/NAME/VERSION or models:/NAME@ALIAS."),
]


def promote(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    model: ModelUri = None,
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """Make a model the champion: it has to have passed its gates, and to give what it gave.

    By default the newest version of the recipe's model. It is loaded anew in a process of its own,
    and its predictions of raw rows are compared with those recorded in training. Then the alias
    `champion` is moved, and `previous` names the version before. Exit code 3 where a gate failed.

    Example: headrace promote conf/flights.yaml --model models:/flights/3
    """
    console = Console(json_, log_format)
    with guarded(console, "promote"):
        from headrace.evaluate import promote as promote_stage

        loaded = recipe_of(recipe, workdir, set_)
        console.observers = observers_of(loaded, os.environ, console.line)
        with console.stage("promote") as report:
            done = promote_stage(loaded, workdir=workdir, report=report, model_uri=model)
            report.result = {"model_uri": done.model_uri}
        before = f"version {done.moved.before}" if done.moved.before else "no version"
        console.summary([f"Champion {done.model_uri}, before it {before}"])
        console.result(
            {
                "command": "promote",
                "ok": True,
                "model_uri": done.model_uri,
                "champion": done.moved.champion,
                "before": done.moved.before,
                "golden_rows": done.golden.rows,
                "golden_largest_difference": done.golden.largest_difference,
            }
        )


def rollback(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """Make the version before the champion the champion again.

    Example: headrace rollback conf/flights.yaml
    """
    console = Console(json_, log_format)
    with guarded(console, "rollback"):
        from headrace.evaluate import rollback as rollback_stage

        loaded = recipe_of(recipe, workdir, set_)
        moved = rollback_stage(loaded, workdir=workdir)
        console.summary(
            [f"Champion version {moved.champion}, rolled back from version {moved.before}"]
        )
        console.result(
            {
                "command": "rollback",
                "ok": True,
                "champion": moved.champion,
                "rolled_back": moved.before,
            }
        )


def judged(command: str, result: dict[str, Any]) -> dict[str, Any]:
    """The result of a command that ends with a verdict."""
    passed = bool(result["verdict"]["passed"])
    code = {} if passed else {"exit_code": EXIT_FAILED_GATE}
    return {"command": command, "ok": passed, **code, **result}


def end_as_judged(result: dict[str, Any]) -> None:
    """End the process with exit code 3 where a gate failed."""
    if not result["verdict"]["passed"]:
        raise typer.Exit(EXIT_FAILED_GATE)
