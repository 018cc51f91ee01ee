"""Define the options of where ranks run, and act for a process that was started as one of them."""

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from headrace.commands.options import load_with_overrides
from headrace.distributed.installed import check_collectives
from headrace.distributed.launchers.external_rank import ExternalRank, find_external_rank
from headrace.errors import MachineError
from headrace.recipe import Recipe

MinRanks = Annotated[
    int | None,
    typer.Option(min=1, help="Continue without lost ranks while at least this many remain."),
]
MaxRanks = Annotated[
    int | None, typer.Option(min=1, help="Admit ranks that join later, up to this number.")
]
Launcher = Annotated[
    str | None,
    typer.Option(
        metavar="local|hosts|spark|launched",
        help="Where ranks run: on this host, on hosts by remote shell, on Spark executors, or "
        "wherever this command was started once per rank (torchrun, mpirun).",
    ),
]
Hosts = Annotated[
    str | None,
    typer.Option(
        metavar="NAME:SLOTS,...", help="Hosts that ranks run on; implies --launcher hosts."
    ),
]


def load_with_launch_options(
    path: str, workdir: str, overrides: list[str] | None, launch: Mapping[str, Any]
) -> Recipe:
    """Load the recipe that the options describe, launch options among them.

    In a process that was started as one of several ranks, `train.ranks` is their number unless
    `ranks` says otherwise.

    Args:
        path, workdir, overrides: see `options.load_with_overrides`.
        launch: `ranks`, `min_ranks`, `max_ranks`, `launcher`, `hosts`; None or absent where the
            option is not set.

    Raises:
        RecipeError: with every problem of the recipe.
    """
    hosts = launch.get("hosts")
    values = {
        "ranks": launch.get("ranks"),
        "min_ranks": launch.get("min_ranks"),
        "max_ranks": launch.get("max_ranks"),
        "launcher.kind": launch.get("launcher") or ("hosts" if hosts else None),
        "launcher.hosts": json.dumps(hosts.split(",")) if hosts else None,
    }
    all_overrides = list(overrides or [])
    all_overrides += [f"train.{key}={value}" for key, value in values.items() if value is not None]
    recipe = load_with_overrides(path, workdir, all_overrides)
    launched = _find_launched_rank(recipe)
    if launched and values["ranks"] is None:
        return load_with_overrides(path, workdir, all_overrides, launched.size)
    return recipe


def run_as_follower(recipe: Recipe) -> bool:
    """Run one rank to its end, if another process leads this launched run.

    Returns:
        Whether this process was a follower, and so has nothing left to do.
    """
    from headrace.distributed.launchers.external import run_external_rank

    launched = _find_launched_rank(recipe)
    if launched is None or launched.rank == 0:
        return False
    run_external_rank(launched, recipe.train.launcher.start_timeout)
    return True


def require_collectives(recipe: Recipe) -> None:
    """Refuse ranks that could not communicate before anything is started.

    Raises:
        ExtraError: what they are to communicate by is not installed; it says what to do.
    """
    train = recipe.train
    check_collectives(train.collectives, max(train.rank_count, train.max_ranks or 0))


def refuse_launched_ranks(recipe: Recipe, work: str) -> None:
    """Refuse to do once per rank what is to be done only once.

    Args:
        recipe: its `train.launcher.kind` says whether it matters how this process was started.
        work: what the command does, and the fix.

    Raises:
        MachineError: this process is one of several.
    """
    launched = _find_launched_rank(recipe)
    if launched is not None:
        raise MachineError(
            f"this command was started as {launched.size} ranks, but {work}; or set "
            "train.launcher.kind"
        )


def _find_launched_rank(recipe: Recipe) -> ExternalRank | None:
    may_be_launched = recipe.train.launcher.kind in ("auto", "launched")
    return find_external_rank(os.environ) if may_be_launched else None
