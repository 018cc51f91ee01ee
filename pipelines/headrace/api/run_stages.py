"""Run stages of a recipe from a notebook."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from headrace.api.command import has_own_spark, run_command
from headrace.api.names import check_names
from headrace.api.open_dataset import choose_workdir
from headrace.api.result import RunResult
from headrace.commands.options import load_with_overrides
from headrace.commands.results import merge_results
from headrace.errors import OptionError
from headrace.recipe import Recipe, build_recipe
from headrace.recipe.parse import dump_yaml
from headrace.recipe.rewrite import format_overrides
from headrace.redaction import remember_secrets
from headrace.tracking.store import Store

_STAGES = ("prepare", "train", "evaluate")
_OF_DICT = "given as a dict"


def run_stages(
    recipe: "str | os.PathLike[str] | Mapping[str, Any]",
    stages: Sequence[str] = _STAGES,
    *,
    workdir: "str | os.PathLike[str] | None" = None,
    overrides: Mapping[str, Any] | None = None,
    show: Callable[[str], None] | None = print,
) -> RunResult:
    """Run stages of a recipe, as the commands of these names do, and return what came of them.

    They work in processes of their own: the notebook's signal handlers, environment, module path,
    logging, event loop, Spark session and MLflow run are left alone. Interrupting the cell
    interrupts the stage, which writes its checkpoint as after Ctrl-C.

    Args:
        recipe: path of a recipe's file, or the same as a dict. Paths in it are relative to the
            working directory.
        stages: some of `prepare`, `train` and `evaluate`, in this order. Without `train`, the
            newest version of the recipe's model is evaluated; without `prepare`, the newest version
            of the dataset is trained on.
        workdir: folder for all outputs; HEADRACE_WORKDIR by default, else `var`.
        overrides: dotted key of the recipe -> value, as `--set` has them.
        show: called with each line of progress; None shows none.

    Returns:
        the result. A gate that failed is no error: `passed` of the result is false then.

    Raises:
        RecipeError: the recipe is wrong; with every problem, before anything is started.
        OptionError: there is no such stage, or they are in another order.
        HeadraceError: a stage failed; with the text that the command prints.
        KeyboardInterrupt: the cell was interrupted.

    Example: headrace.run("conf/flights.yaml", overrides={"train.epochs": 3}).metrics
    """
    chosen = _check_stages([stages] if isinstance(stages, str) else list(stages))
    folder = choose_workdir(workdir)
    changes = format_overrides(overrides or {})
    tell = show or _show_nothing
    with _write_file(recipe) as path:
        loaded = _load(recipe, path, folder, changes)
        if has_own_spark():
            tell("the Spark session of this process is not used: stages start what they need")
        options = [path, "--workdir", folder, *(f"--set={change}" for change in changes)]
        values: dict[str, Any] = {}
        if chosen == _STAGES:
            values = run_command(["run", *options], tell)
        else:
            for stage in chosen:
                pinned = _pin_inputs(stage, values)
                values = merge_results(values, run_command([stage, *options, *pinned], tell))
    return RunResult(chosen, values, Store.from_recipe(loaded, folder, os.environ))


def _show_nothing(text: str) -> None:
    """Take a line of progress that nobody wants to see."""


def _check_stages(stages: Sequence[str]) -> tuple[str, ...]:
    check_names(stages, _STAGES, "stage", "headrace.run")
    ordered = tuple(stage for stage in _STAGES if stage in stages)
    if not ordered or ordered != tuple(stages):
        wanted = ", ".join(ordered or _STAGES)
        raise OptionError(f"stages are {list(stages)}, expected in this order, once: {wanted}")
    return ordered


def _pin_inputs(stage: str, before: Mapping[str, Any]) -> list[str]:
    """Return the options by which a stage works on what the stage before it made."""
    if stage == "train" and "dataset" in before:
        return ["--dataset-version", str(before["dataset"]["version"])]
    if stage == "evaluate" and before.get("model_uri"):
        return ["--model", before["model_uri"]]
    return []


def _load(
    recipe: "str | os.PathLike[str] | Mapping[str, Any]",
    path: str,
    workdir: str,
    changes: list[str],
) -> Recipe:
    """Load the recipe, so that its problems are raised with all that is known of them."""
    if not isinstance(recipe, Mapping):
        return load_with_overrides(path, workdir, changes)
    loaded = build_recipe(
        deepcopy(dict(recipe)),
        source=_OF_DICT,
        overrides=changes,
        workdir=workdir,
        environment=os.environ,
    )
    remember_secrets(loaded.dump_resolved())
    return loaded


@contextmanager
def _write_file(recipe: "str | os.PathLike[str] | Mapping[str, Any]") -> Iterator[str]:
    """Yield the path of a recipe's file; that of a dict is for this user alone, and removed."""
    if not isinstance(recipe, Mapping):
        yield os.fspath(recipe)
        return
    with tempfile.TemporaryDirectory(prefix="headrace-recipe-") as folder:
        file = Path(folder) / "recipe.yaml"
        file.write_text(dump_yaml(deepcopy(dict(recipe))), encoding="utf-8")
        yield str(file)
