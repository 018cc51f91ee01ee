"""The tune command on a search that is replaced: recipes of trials, the best recipe, refusals."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.recipe import load_recipe
from headrace.train.tune import TuneResult
from tests.commands.stage_outcomes import run_command, write_recipe
from tests.tiny import tiny_tree

BEST = {"train.optimizer.learning_rate": 0.005}


class ParentRun:
    """Keeps what is logged to the search's MLflow run."""

    run_id = "run-0"

    def __init__(self) -> None:
        self.logged: dict[str, Any] = {}

    def log_recipe(self, recipe: Any) -> None:
        self.logged["recipe"] = recipe.name

    def log_params(self, params: dict[str, Any]) -> None:
        self.logged |= params

    def log_metrics(self, metrics: dict[str, float]) -> None:
        self.logged |= metrics

    def log_text(self, text: str, name: str) -> None:
        self.logged[name] = text


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> ParentRun:
    parent = ParentRun()

    @contextmanager
    def start_parent_run(*_: Any) -> Iterator[ParentRun]:
        yield parent

    monkeypatch.setattr("headrace.tracking.run.start_parent_run", start_parent_run)
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return parent


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Recipe, trial's recipe and other arguments of the replaced search."""
    calls: list[dict[str, Any]] = []

    def search(recipe: Any, build_trial: Any, *, report: Any, **arguments: Any) -> TuneResult:
        calls.append({"recipe": recipe, "trial": build_trial(BEST), **arguments})
        return TuneResult(BEST, 0.125, {"COMPLETE": 3, "PRUNED": 1})

    monkeypatch.setattr("headrace.train.tune.tune_recipe", search)
    return calls


def write_tune_recipe(folder: Path) -> str:
    tree = tiny_tree()
    parameters = {"train.optimizer.learning_rate": {"low": 0.001, "high": 0.01}}
    tree["tune"] = {"trials": 2, "parameters": parameters}
    return write_recipe(folder, tree)


def test_a_search(parent: ParentRun, calls: list[dict[str, Any]], tmp_path: Path) -> None:
    path = write_tune_recipe(tmp_path)
    done = run_command(
        "tune", path, "--workdir", f"{tmp_path}/w", "--trials", "4", "--ranks", "2",
        "--set", "train.epochs=7", "--dataset-version", "3", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    best_file = f"{tmp_path}/w/tune/tiny.best.yaml"
    assert done.result == {
        "command": "tune",
        "ok": True,
        "best": BEST,
        "value": 0.125,
        "dataset_version": 0,
        "trials": {"COMPLETE": 3, "PRUNED": 1},
        "recipe": best_file,
        "run_id": "run-0",
    }
    (call,) = calls
    recipe, trial = call.pop("recipe"), call.pop("trial")
    assert call == {"workdir": f"{tmp_path}/w", "dataset_version": 3, "parent_run_id": "run-0"}
    assert (recipe.tune.trials, recipe.train.ranks, recipe.train.epochs) == (4, 2, 7)
    assert trial.train.optimizer.learning_rate == 0.005
    assert (trial.train.ranks, trial.train.epochs) == (2, 7)
    best = load_recipe(best_file, workdir="w", environment={})
    assert (best.train.optimizer.learning_rate, best.train.epochs) == (0.005, 7)
    assert parent.logged.pop("best_recipe.yaml") == Path(best_file).read_text()
    assert parent.logged == {
        "recipe": "tiny", "best": BEST, f"validation/best_{recipe.tune.metric}": 0.125
    }  # fmt: skip
    assert f"Recipe   {best_file}" in done.err.splitlines()


def test_the_best_recipe_goes_where_it_is_wanted(
    parent: ParentRun, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    best_file = tmp_path / "best.yaml"
    path = write_tune_recipe(tmp_path)
    done = run_command("tune", path, "--workdir", str(tmp_path), "--output", str(best_file))
    assert done.code == 0, done.err
    assert yaml.safe_load(best_file.read_text())["train"]["optimizer"]["learning_rate"] == 0.005


def test_a_recipe_without_parameters_is_refused(
    parent: ParentRun, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    done = run_command("tune", write_recipe(tmp_path), "--workdir", str(tmp_path))
    assert done.code == 2
    assert "tune.parameters: is empty (list the keys to search" in done.err
    assert calls == []


def test_a_search_is_refused_as_ranks(
    parent: ParentRun, calls: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    done = run_command("tune", write_tune_recipe(tmp_path), "--workdir", str(tmp_path))
    assert done.code == 1
    assert "searches only once: run it alone, with --ranks" in done.err
    assert calls == []
