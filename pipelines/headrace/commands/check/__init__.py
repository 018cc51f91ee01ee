"""Check all of a recipe that can be checked without running it: the command check.

It takes about two seconds, so neither Spark, TensorFlow nor MLflow is imported here.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from headrace.commands.check.remark import Kind, Remark, choose_exit_code
from headrace.commands.frame import Command, open_command
from headrace.commands.options import Json, Ranks, RecipePath, Set, Workdir, load_with_overrides
from headrace.errors import RecipeError
from headrace.recipe import Recipe
from headrace.redaction import redact_text

Remote = Annotated[
    bool,
    typer.Option("--remote", help="Ask remote stores as well, for tables and the dataset."),
]


def check(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    ranks: Ranks = None,
    remote: Remote = False,
    json_: Json = False,
) -> None:
    """Check all that can be checked without running: keys, local tables, columns, SQL, machine.

    What is wrong is said with its line in the YAML. Exit code 2 for a recipe or a --workdir that is
    wrong, 1 for what this machine lacks and for tables that are not there; what is only suspected,
    or not checked, is printed and ends with 0.

    Example: headrace check conf/flights.yaml --ranks 4
    """
    with open_command("check", json_) as command:
        try:
            loaded = load_with_overrides(recipe, workdir, set_, ranks)
        except RecipeError as error:
            remarks = [Remark.from_problem(Kind.RECIPE, problem) for problem in error.problems]
            later = "not looked at before the recipe is right by itself"
            remarks += [Remark(Kind.UNCHECKED, what, later) for what in ("tables", "machine")]
        else:
            remarks = check_recipe(loaded, workdir, remote=remote)
        _report_remarks(command, remarks)


def check_recipe(recipe: Recipe, workdir: str, *, remote: bool = False) -> list[Remark]:
    """Return the remarks on a recipe that is right by itself.

    Args:
        recipe: the recipe.
        workdir: local folder of commands.
        remote: whether remote stores are asked.
    """
    from headrace.commands.check import machine, predictions, tables

    return [
        *tables.check_tables(recipe, remote=remote),
        *machine.check_workdir(workdir),
        *machine.check_dataset(recipe, remote=remote),
        *machine.check_java(recipe),
        *machine.check_installed(recipe),
        *predictions.predict_memory(recipe, remote=remote),
        *machine.list_unasked(recipe),
    ]


def _report_remarks(command: Command, remarks: Sequence[Remark]) -> None:
    order = list(Kind)
    ordered = sorted(remarks, key=lambda remark: (order.index(remark.kind), remark.line or 0))
    command.console.print_summary([redact_text(remark.format()) for remark in ordered])
    counts = {kind: sum(remark.kind is kind for remark in remarks) for kind in Kind}
    wrong, missing = counts[Kind.RECIPE], counts[Kind.MISSING]
    options = f"{counts[Kind.OPTION]} in the options, " if counts[Kind.OPTION] else ""
    command.console.print_summary(
        [
            f"{wrong} wrong in the recipe, {options}{missing} missing, "
            f"{counts[Kind.SUSPECTED]} suspected, {counts[Kind.UNCHECKED]} not checked"
        ]
    )
    code = choose_exit_code(list(remarks))
    failure = {
        "error": {
            "type": _name_error(counts),
            "message": "; ".join(
                redact_text(str(remark.format()))
                for remark in ordered
                if remark.kind in (Kind.RECIPE, Kind.OPTION, Kind.MISSING)
            ),
        }
    }
    remarks_json = [
        {**remark.to_dict(), "message": redact_text(remark.message)} for remark in ordered
    ]
    command.report_result({"remarks": remarks_json, **(failure if code else {})}, exit_code=code)


def _name_error(counts: Mapping[Kind, int]) -> str:
    """Return the name of the error that `headrace run` would end with."""
    if counts[Kind.RECIPE]:
        return "RecipeError"
    return "OptionError" if counts[Kind.OPTION] else "MachineError"
