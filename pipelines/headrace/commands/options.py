"""Options that several commands share, and the recipe they lead to."""

import os
from typing import Annotated

import typer

from headrace.commands.console import LogFormat
from headrace.recipe import Recipe, load_recipe

RecipePath = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Recipe file, for example conf/flights.yaml.")
]
Workdir = Annotated[
    str,
    typer.Option(
        help="Folder for everything that is written; the recipe's ${workdir}.",
        envvar="HEADRACE_WORKDIR",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the recipe, for example --set train.epochs=3. May be repeated; "
        "the value is read as YAML.",
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object with the result as the last line of standard output; "
        "everything else goes to standard error.",
    ),
]
Log = Annotated[
    LogFormat,
    typer.Option(
        "--log-format",
        envvar="HEADRACE_LOG_FORMAT",
        help="How progress is written: lines for people, or one JSON object a line.",
    ),
]
Ranks = Annotated[
    int | None,
    typer.Option(min=1, help="Horovod ranks; overrides train.ranks."),
]
DatasetVersionNumber = Annotated[
    int | None, typer.Option("--dataset-version", min=0, help="Delta version to read.")
]
GivenId = Annotated[
    str | None,
    typer.Option(
        "--build-id",
        metavar="ID",
        help="Publish once under this id, however often the command is run: for retries.",
    ),
]


def recipe_of(
    path: str, workdir: str, overrides: list[str] | None, ranks: int | None = None
) -> Recipe:
    """The recipe that the options describe.

    Raises:
        RecipeError: with every problem found.
    """
    chosen = list(overrides or [])
    if ranks is not None:
        chosen.append(f"train.ranks={ranks}")
    return load_recipe(path, overrides=chosen, workdir=workdir, environment=os.environ)
