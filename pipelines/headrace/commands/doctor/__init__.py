"""Check this machine, and the services that a recipe needs: the command doctor."""

import os
from typing import Annotated

import typer

from headrace.commands.doctor.finding import Check, Finding, State
from headrace.commands.frame import open_command
from headrace.commands.options import Json, Set, Workdir, load_with_overrides
from headrace.errors import EXIT_FAILED_RUN
from headrace.recipe import Recipe

OptionalRecipe = Annotated[
    str | None,
    typer.Argument(
        metavar="RECIPE", help="Recipe whose tables, dataset and MLflow are checked as well."
    ),
]


def doctor(
    recipe: OptionalRecipe = None,
    workdir: Workdir = "var",
    set_: Set = None,
    json_: Json = False,
) -> None:
    """Check for what would fail later: Java, Spark, TensorFlow, Horovod, GPUs, what reads files,
    stores, disk, clock.

    Every problem is printed with its fix. Exit code 1 if a check fails; warnings do not count.

    Example: headrace doctor conf/flights.yaml
    """
    with open_command("doctor", json_) as command:
        loaded = load_with_overrides(recipe, workdir, set_) if recipe else None
        findings = []
        for check in list_checks(loaded, workdir):
            for finding in check():
                findings.append(finding)
                command.console.print_summary(_format_finding(finding))
        failures = sum(finding.state is State.FAIL for finding in findings)
        warnings = sum(finding.state is State.WARN for finding in findings)
        command.console.print_line(
            f"{len(findings)} checks, {failures} failed, {warnings} warnings"
        )
        command.report_result(
            {"findings": [finding.to_dict() for finding in findings]},
            exit_code=EXIT_FAILED_RUN if failures else 0,
        )


def list_checks(recipe: Recipe | None, workdir: str) -> list[Check]:
    """Return all checks, what fails most often and fastest first."""
    from headrace.commands.doctor import (
        embeddings,
        engines,
        extras,
        machine,
        services,
        stream_memory,
    )

    checks: list[Check] = [
        machine.check_python,
        machine.check_open_files,
        machine.check_memory,
        lambda: machine.check_disk(workdir),
        machine.check_host_name,
        machine.check_user_name,
        lambda: machine.check_executable_folder(workdir),
        lambda: engines.check_java(recipe),
        lambda: engines.check_spark(recipe, workdir),
        extras.check_extras,
        engines.check_tensorflow,
        lambda: engines.check_collectives(recipe),
        engines.check_gpus,
        lambda: engines.check_stream(recipe),
        lambda: services.check_mlflow(recipe, workdir),
    ]
    if recipe is not None:
        checks += [
            lambda: services.check_tables(recipe),
            lambda: services.check_dataset(recipe),
            lambda: embeddings.check_embeddings(recipe),
            lambda: stream_memory.check_stream_memory(recipe),
        ]
    checks.append(lambda: services.check_clock(recipe, os.environ))
    return checks


def _format_finding(finding: Finding) -> list[str]:
    line = f"{finding.state:<5} {finding.name}: {finding.what}"
    return [line, f"      {finding.fix}"] if finding.fix else [line]
