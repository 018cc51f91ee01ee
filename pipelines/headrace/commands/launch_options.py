"""Options about where ranks run, and what a process does that was started as one of them."""

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from headrace.commands.options import recipe_of
from headrace.distributed.launchers.external import LaunchedRank, launched_rank
from headrace.errors import MachineError
from headrace.recipe import Recipe

MinRanks = Annotated[
    int | None,
    typer.Option(min=1, help="Go on without lost ranks while there are as many."),
]
MaxRanks = Annotated[
    int | None, typer.Option(min=1, help="Take ranks in that come, up to this number.")
]
Launcher = Annotated[
    str | None,
    typer.Option(
        metavar="local|hosts|spark|launched",
        help="Where ranks run: here, on hosts by a remote shell, on Spark executors, or wherever "
        "this command was started once a rank (torchrun, mpirun).",
    ),
]
Hosts = Annotated[
    str | None,
    typer.Option(metavar="NAME:SLOTS,...", help="Hosts for ranks; implies --launcher hosts."),
]


def launch_recipe_of(
    path: str, workdir: str, overrides: list[str] | None, launch: Mapping[str, Any]
) -> Recipe:
    """The recipe that the options describe.

    Where this process was started as one of several ranks, and nobody says how many there are to
    be, they are as many.

    Args:
        path, workdir, overrides: see `options.recipe_of`.
        launch: `ranks`, `min_ranks`, `max_ranks`, `launcher`, `hosts`; None where not given.

    Raises:
        RecipeError: with every problem found.
    """
    hosts = launch.get("hosts")
    given = {
        "ranks": launch.get("ranks"),
        "min_ranks": launch.get("min_ranks"),
        "max_ranks": launch.get("max_ranks"),
        "launcher.kind": launch.get("launcher") or ("hosts" if hosts else None),
        "launcher.hosts": json.dumps(hosts.split(",")) if hosts else None,
    }
    said = [f"train.{key}={value}" for key, value in given.items() if value is not None]
    chosen = [*(overrides or []), *said]
    recipe = recipe_of(path, workdir, chosen)
    launched = _launched(recipe)
    if launched and given["ranks"] is None:
        return recipe_of(path, workdir, chosen, launched.size)
    return recipe


def followed(recipe: Recipe) -> bool:
    """Be a rank of a launched run where another process leads it."""
    from headrace.distributed.launchers.external import follow

    launched = _launched(recipe)
    if launched is None or launched.rank == 0:
        return False
    follow(launched, recipe.train.launcher.start_timeout)
    return True


def refuse_launched(recipe: Recipe, what: str) -> None:
    """Refuse to do once a rank what is done once.

    Args:
        recipe: says whether it matters how this process was started.
        what: what is done, and the way out.

    Raises:
        MachineError: this process is one of several.
    """
    launched = _launched(recipe)
    if launched is not None:
        raise MachineError(
            f"this command was started as {launched.size} ranks, and {what}; or set "
            "train.launcher.kind"
        )


def _launched(recipe: Recipe) -> LaunchedRank | None:
    wanted = recipe.train.launcher.kind in ("auto", "launched")
    return launched_rank(os.environ) if wanted else None
