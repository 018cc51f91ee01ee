"""Loading the recipe that shared options describe."""

from pathlib import Path

import pytest

from headrace.commands.options import load_with_overrides
from headrace.errors import RecipeError
from tests.commands.stage_outcomes import write_recipe
from tests.tiny import tiny_tree


def test_overrides_and_ranks_replace_keys_of_the_recipe(tmp_path: Path) -> None:
    recipe = load_with_overrides(
        write_recipe(tmp_path), str(tmp_path / "w"), ["train.epochs=9", "train.ranks=2"], ranks=4
    )
    assert (recipe.train.epochs, recipe.train.ranks) == (9, 4)  # --ranks comes last
    assert recipe.dataset.path == f"{tmp_path}/w/dataset"


def test_the_callers_list_of_overrides_is_left_as_it_is(tmp_path: Path) -> None:
    overrides = ["train.epochs=9"]
    load_with_overrides(write_recipe(tmp_path), "w", overrides, ranks=4)
    assert overrides == ["train.epochs=9"]


def test_variables_of_the_environment_are_resolved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TINY_DATASETS", "/datasets")
    tree = tiny_tree()
    tree["dataset"]["path"] = "${env:TINY_DATASETS}/tiny"
    assert load_with_overrides(write_recipe(tmp_path, tree), "w", None).dataset.path == (
        "/datasets/tiny"
    )


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as error:
        load_with_overrides(
            write_recipe(tmp_path), "w", ["train.epochs=many", "train.global_batch_size=few"]
        )
    assert {problem.where for problem in error.value.problems} == {
        "train.epochs",
        "train.global_batch_size",
    }
