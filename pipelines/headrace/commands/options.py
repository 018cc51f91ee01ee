"""Define the options that several commands share, and load the recipe that they describe."""

import os
from typing import Annotated

import typer

from headrace.commands.console import LogFormat
from headrace.recipe import Recipe, load_recipe
from headrace.redaction import remember_secrets

RecipePath = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Recipe file, for example conf/flights.yaml.")
]
Workdir = Annotated[
    str,
    typer.Option(
        help="Folder for all outputs; ${workdir} in the recipe.",
        envvar="HEADRACE_WORKDIR",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the recipe, for example --set train.epochs=3. May be repeated; "
        "the value is parsed as YAML.",
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
        help="Format of progress: lines of text, or one JSON object per line.",
    ),
]
Ranks = Annotated[
    int | None,
    typer.Option(min=1, help="Number of Horovod ranks; overrides train.ranks."),
]
ModelUri = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="URI", help="Model version: models:/NAME/VERSION or models:/NAME@ALIAS."
    ),
]
DatasetVersionNumber = Annotated[
    int | None,
    typer.Option("--dataset-version", min=0, help="Version of the dataset's Delta table to read."),
]
BuildId = Annotated[
    str | None,
    typer.Option(
        "--build-id",
        metavar="ID",
        help="Idempotency key for retries: publish only once under this id, however often the "
        "command runs.",
    ),
]


def load_with_overrides(
    path: str, workdir: str, overrides: list[str] | None, ranks: int | None = None
) -> Recipe:
    """Load the recipe that the options describe.

    Args:
        path: of the recipe file.
        workdir: the recipe's `${workdir}`.
        overrides: of recipe keys, as `KEY=VALUE`.
        ranks: overrides `train.ranks`.

    Raises:
        RecipeError: with every problem of the recipe.
    """
    all_overrides = list(overrides or [])
    if ranks is not None:
        all_overrides.append(f"train.ranks={ranks}")
    recipe = load_recipe(path, overrides=all_overrides, workdir=workdir, environment=os.environ)
    remember_secrets(recipe.dump_resolved())
    return recipe
