"""What the train stage hands to the ranks and makes of their answer, with the ranks replaced."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import RecipeError
from headrace.lake.version import DatasetVersion
from headrace.progress import ignore_progress
from headrace.recipe import Recipe
from headrace.train import run as run_module
from headrace.train.run import train
from headrace.transform.spec import TransformSpec
from tests.tiny import tiny_recipe

DATASET = SimpleNamespace(root="/data", version=3, count_rows=lambda split: 1000)
RESULT = {
    "run_id": "r7",
    "model_uri": "models:/tiny/1",
    "metrics": {"val_loss": 0.25},
    "weights_checksum": ["c", "c"],
    "seconds": {"first_step": 2.0, "epochs": 3.0, "register": 1.0},
    "first_step_at": 1.7e9,
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Arguments of the replaced ranks, and of the datasets that were opened."""
    calls: list[tuple] = []

    def open_dataset(root: str, version: int | None) -> SimpleNamespace:
        calls.append((root, version))
        return DATASET

    def run_ranks(*arguments: Any) -> dict[str, Any]:
        calls.append(arguments)
        return RESULT

    monkeypatch.setattr(DatasetVersion, "open", open_dataset)
    monkeypatch.setattr(run_module, "load_trainable_spec", lambda recipe, dataset: None)
    monkeypatch.setattr(run_module, "choose_stream_shapes", lambda recipe, dataset, spec: None)
    monkeypatch.setattr(run_module, "run_ranks", run_ranks)
    return calls


def should_stop() -> bool:
    return False


def test_the_ranks_get_the_recipe_the_version_and_the_limits(
    calls: list[tuple], tmp_path: Path
) -> None:
    recipe = tiny_recipe(
        tmp_path, "train.ranks=2", "train.threads_per_rank=3", "train.collective_timeout=11",
        "train.step_timeout=22", "train.max_restarts=4", "train.collectives=tensorflow",
    )  # fmt: skip
    train(
        recipe,
        workdir=str(tmp_path),
        report=ignore_progress,
        dataset_version=3,
        resume="never",
        parent_run_id="p",
        register=False,
        should_stop=should_stop,
    )
    opened, (task, ranks, report, _, stop) = calls
    assert opened == (recipe.dataset.path, 3)
    assert (ranks, report, stop) == (2, ignore_progress, should_stop)
    assert task.import_function().__name__ == "train_rank"
    assert Recipe.model_validate(task.payload.pop("recipe")) == recipe
    attempt = task.payload.pop("attempt")
    assert attempt[:2] == "20"
    assert task.payload == {
        "workdir": str(tmp_path),
        "recipe_folder": "",
        "dataset": {"root": "/data", "version": 3},
        "ranks_rule": "",
        "resume": "never",
        "parent_run_id": "p",
        "register": False,
    }
    limits = (task.threads_per_rank, task.collective_timeout, task.step_timeout, task.max_restarts)
    assert limits == (3, 11, 22, 4)
    assert task.collectives == "tensorflow"
    # what died is continued by its name, even where the training was to start from scratch
    restarted = replace(task, payload={**task.payload, "attempt": attempt}).build_restart()
    assert restarted.payload["attempt"] == attempt
    assert not task.is_elastic


def test_an_elastic_training_goes_on_with_numbers_that_divide_the_shards(
    calls: list[tuple], tmp_path: Path
) -> None:
    recipe = tiny_recipe(tmp_path, "train.ranks=4", "train.min_ranks=1")
    train(recipe, workdir=str(tmp_path), report=ignore_progress)
    assert calls[1][0].sizes == [1, 2, 4]  # of 8 shards


def test_the_answer_of_rank_0_is_the_result(calls: list[tuple], tmp_path: Path) -> None:
    trained = train(tiny_recipe(tmp_path), workdir=str(tmp_path), report=ignore_progress)
    assert trained.dataset is DATASET  # type: ignore[comparison-overlap]
    assert (trained.run_id, trained.model_uri) == ("r7", "models:/tiny/1")
    assert (trained.metrics, trained.weights_checksum) == ({"val_loss": 0.25}, ["c", "c"])
    assert trained.first_step_at == 1.7e9
    assert trained.seconds.pop("total") >= 0
    assert trained.seconds == RESULT["seconds"]


def test_a_recipe_that_does_not_fit_starts_no_rank(
    calls: list[tuple], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(recipe: Recipe, dataset: Any) -> None:
        raise RecipeError("tiny", [])

    monkeypatch.setattr(run_module, "load_trainable_spec", refuse)
    with pytest.raises(RecipeError):
        train(tiny_recipe(tmp_path), workdir=str(tmp_path), report=ignore_progress)
    assert len(calls) == 1


def test_slices_that_cannot_be_evaluated_start_no_rank(
    calls: list[tuple], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = TransformSpec(raw=(), derived=(), features=()).to_json()
    build = SimpleNamespace(kept={}, stored={})
    dataset = SimpleNamespace(
        root="/data",
        version=3,
        transform_json=spec,
        build=build,
        text_files=None,
        count_rows=lambda split: 1000,
    )
    monkeypatch.setattr(DatasetVersion, "open", lambda root, version: dataset)
    recipe = tiny_recipe(tmp_path, "evaluate.slices=[{columns: [shop]}]")
    with pytest.raises(RecipeError, match="the dataset has no column shop"):
        train(recipe, workdir=str(tmp_path), report=ignore_progress)
    assert calls == []
