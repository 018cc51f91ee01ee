"""The search with trainings replaced: what is tried, pruned, retried, and which trial is best.

Two commands one after the other, or at the same time, are in tests/e2e/test_tune.py.
"""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import Problem, RecipeError, StoppedError, TrainError
from headrace.lake.version import DatasetVersion
from headrace.progress import Progress
from headrace.recipe import Recipe
from headrace.train import tune
from headrace.train.tune import TuneResult, tune_recipe
from tests.tiny import tiny_recipe

RATE, HIDDEN = "train.optimizer.learning_rate", "model.hidden"
DATASET = SimpleNamespace(root="/data", version=3, digest="abc", count_rows=lambda split: 9)


class Search:
    """A search whose trainings are a function of the recipe: their metric, or an error."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.parameters: dict[str, Any] = {RATE: {"low": 0.1, "high": 0.5}}
        self.train: Callable[[Recipe], float | None] = read_rate
        self.epochs: list[float] = []
        self.recipes: list[Recipe] = []
        self.options: list[dict[str, Any]] = []
        self.messages: list[str] = []
        monkeypatch.setattr(DatasetVersion, "open", lambda root, version: DATASET)
        monkeypatch.setattr(tune, "train", self.run_trial)

    def run(self, *overrides: str, trials: int = 3) -> TuneResult:
        settings = [f"tune.parameters={json.dumps(self.parameters)}", f"tune.trials={trials}"]
        return tune_recipe(
            tiny_recipe(self.folder, *settings, *overrides),
            self.build_trial_recipe,
            workdir=str(self.folder),
            report=lambda progress: self.messages.append(progress.text),
        )

    def build_trial_recipe(self, values: dict[str, Any]) -> Recipe:
        words = [f"{key}={json.dumps(value)}" for key, value in values.items()]
        return tiny_recipe(self.folder, *words)

    def run_trial(self, recipe: Recipe, **options: Any) -> Any:
        self.recipes.append(recipe)
        self.options.append(options)
        for epoch, value in enumerate(self.epochs):
            metrics = {"epoch": float(epoch), "val_loss": value}
            options["report"](Progress("epoch", metrics=metrics))
            if options["should_stop"]():
                raise StoppedError("cancelled")
        value = self.train(recipe)
        return SimpleNamespace(metrics={} if value is None else {"val_loss": value})

    @property
    def rates(self) -> list[float]:
        return [recipe.train.optimizer.learning_rate for recipe in self.recipes]


def read_rate(recipe: Recipe) -> float:
    return recipe.train.optimizer.learning_rate


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    return Search(tmp_path, monkeypatch)


def test_the_trial_with_the_smallest_loss_is_best(search: Search) -> None:
    result = search.run(trials=4)
    assert len(set(search.rates)) == 4
    assert all(0.1 <= rate <= 0.5 for rate in search.rates)
    best = min(search.rates)
    assert result == TuneResult({RATE: best}, best, {"COMPLETE": 4}, dataset_version=3)
    assert search.messages[0] == f"trial 1 of 4: {RATE} {search.rates[0]}"
    assert search.messages[-1] == f"trial 4: loss {search.rates[-1]:.5g}"


def test_a_metric_that_is_to_be_large_is_maximized(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train_for_accuracy(recipe: Recipe, **options: Any) -> Any:
        search.recipes.append(recipe)
        return SimpleNamespace(metrics={"val_accuracy": read_rate(recipe), "val_loss": 9.0})

    monkeypatch.setattr(tune, "train", train_for_accuracy)
    result = search.run("tune.metric=accuracy")
    assert result.value == max(search.rates)
    assert result.overrides == {RATE: max(search.rates)}


def test_trials_are_trainings_of_their_own_that_register_nothing(search: Search) -> None:
    search.run(trials=1)
    (options,) = search.options
    options.pop("report")
    assert not options.pop("should_stop")()
    assert options == {
        "workdir": str(search.folder),
        "dataset_version": 3,
        "resume": "never",
        "parent_run_id": None,
        "register": False,
    }


def test_values_are_drawn_as_their_range_says(search: Search) -> None:
    search.parameters = {
        "train.epochs": {"low": 2, "high": 6, "step": 2},
        RATE: {"low": 0.001, "high": 0.1, "log": True},
        HIDDEN: {"choices": [[16, 8], [4]]},
    }
    result = search.run(trials=8)
    assert {recipe.train.epochs for recipe in search.recipes} <= {2, 4, 6}
    assert {tuple(recipe.model.hidden) for recipe in search.recipes} == {(16, 8), (4,)}
    assert all(0.001 <= rate <= 0.1 for rate in search.rates)
    best = search.recipes[search.rates.index(min(search.rates))]
    assert result.overrides[HIDDEN] == best.model.hidden
    assert result.overrides["train.epochs"] == best.train.epochs


def test_another_search_space_is_another_study(search: Search) -> None:
    search.run(trials=1)
    search.parameters = {RATE: {"low": 0.6, "high": 0.7}}
    assert search.run(trials=1).trials == {"COMPLETE": 1}
    assert search.rates[1] >= 0.6


def test_an_interrupted_trial_is_run_again_with_its_values(search: Search) -> None:
    def interrupt(recipe: Recipe) -> float:
        raise KeyboardInterrupt

    search.train = interrupt
    with pytest.raises(KeyboardInterrupt):
        search.run(trials=1)
    search.train = read_rate
    result = search.run(trials=1)
    assert search.rates[0] == search.rates[1]
    assert result.trials == {"FAIL": 1, "COMPLETE": 1}


def test_a_trial_whose_process_was_killed_is_run_again_with_its_values(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody recorded its end: it is still running, for all that the study knows."""
    import optuna

    def interrupt(recipe: Recipe) -> float:
        raise KeyboardInterrupt

    search.train = interrupt
    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "tell", lambda *_, **__: None)
        patch.setattr(optuna.Study, "enqueue_trial", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            search.run(trials=1)
    search.train = read_rate
    result = search.run(trials=1)
    assert "trial 1 was interrupted; it is run again" in search.messages
    assert search.rates[0] == search.rates[1]
    assert result.trials == {"FAIL": 1, "COMPLETE": 1}


def test_a_trial_that_fails_is_a_result_and_the_search_goes_on(search: Search) -> None:
    def diverge_at_first(recipe: Recipe) -> float:
        if len(search.recipes) == 1:
            raise TrainError("the loss is nan;\nlower the rate")
        return read_rate(recipe)

    search.train = diverge_at_first
    result = search.run(trials=2)
    assert result.trials == {"PRUNED": 1, "COMPLETE": 1}
    assert "trial 1 failed: the loss is nan; lower the rate" in search.messages


def test_a_trial_that_is_worse_than_half_of_the_others_is_pruned(search: Search) -> None:
    """Optuna's median pruner looks from the fourth trial on."""
    search.epochs = [0.5, 0.5]
    search.run(trials=3)
    search.epochs = [0.9, 0.9]
    result = search.run(trials=4)
    assert result.trials == {"COMPLETE": 3, "PRUNED": 1}
    assert "trial 4 is worse than others were by then; pruned" in search.messages
    without = search.run("tune.pruning=false", trials=1)
    assert without.trials == {"COMPLETE": 1}


def test_where_no_trial_is_completed_there_is_no_best(search: Search) -> None:
    def diverge(recipe: Recipe) -> float:
        raise TrainError("the loss is nan")

    search.train = diverge
    with pytest.raises(TrainError, match="none of 2 trials was completed"):
        search.run(trials=2)


def test_a_metric_that_is_not_defined_is_an_error(search: Search) -> None:
    search.train = lambda recipe: None
    with pytest.raises(TrainError, match=r"tune\.metric is loss, which is not defined"):
        search.run()


def test_a_value_that_a_key_never_takes_is_refused_before_a_trial(search: Search) -> None:
    search.parameters = {"train.epochs": {"choices": ["many"]}}
    with pytest.raises(RecipeError, match=r"train\.epochs"):
        search.run()
    assert search.recipes == []


def test_values_that_are_impossible_together_are_a_failed_trial(search: Search) -> None:
    """Each key alone is accepted, as is a problem of another key."""
    search.parameters = {RATE: {"low": 0.1, "high": 0.5}, "train.epochs": {"choices": [1]}}
    build = search.build_trial_recipe

    def refuse_both(values: dict[str, Any]) -> Recipe:
        if RATE in values:
            raise RecipeError("tiny", [Problem("train.schedule", "does not fit")])
        return build(values)

    search.build_trial_recipe = refuse_both  # type: ignore[method-assign]
    with pytest.raises(TrainError, match="none of 1 trials was completed"):
        search.run(trials=1)
    assert any("train.schedule: does not fit" in message for message in search.messages)


def test_without_validation_rows_trials_cannot_be_compared(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = SimpleNamespace(root="/data", version=3, count_rows=lambda split: 0)
    monkeypatch.setattr(DatasetVersion, "open", lambda root, version: empty)
    with pytest.raises(TrainError, match="dataset /data version 3 has none"):
        search.run()
