"""Recipes and commands over the kept artifacts."""

from pathlib import Path
from typing import Any

from headrace.recipe import Recipe, load_recipe
from tests.e2e.running import ROOT, Done, headrace

DATASETS = ("visits", "pictures", "letters", "series")


def kept_recipe(workdir: Path, name: str, *overrides: str) -> Recipe:
    """Return a kept recipe, read from its file."""
    return load_recipe(
        str(workdir / f"{name}.yaml"), overrides=overrides, workdir=str(workdir), environment={}
    )


def command(workdir: Path, stage: str, name: str, *options: str) -> Done:
    """Run a stage of a kept recipe as a user does."""
    recipe = str(workdir / f"{name}.yaml")
    return headrace(
        stage, recipe, "--workdir", str(workdir), "--json", *options, PYTHONPATH=str(ROOT)
    )


def succeeded(workdir: Path, stage: str, name: str, *options: str) -> dict[str, Any]:
    """Run a stage that has to end well; returns its result."""
    done = command(workdir, stage, name, *options)
    assert done.code == 0, done.err
    return done.result
