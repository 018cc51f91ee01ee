"""`train.ranks: auto` is one rank where rows are few, and says which rule chose it."""

from pathlib import Path
from typing import Any

import pytest

from headrace.distributed.choose_ranks import choose_ranks
from headrace.errors import RecipeError
from headrace.recipe import Recipe
from headrace.train.settings_check import collect_settings
from tests.tiny import tiny_recipe

AUTO = "train.ranks=auto"


def test_a_number_stays_what_it_is(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "train.ranks=4")
    choice = choose_ranks(recipe, 10)
    assert choice.recipe is recipe
    assert (choice.ranks, choice.rule) == (4, "")
    assert choice.describe() == "starting 4 ranks"


@pytest.mark.parametrize(
    ("rows", "overrides", "ranks", "why"),
    [
        (0, [], 1, "fewer than 50,000 train rows"),
        (49_999, [], 1, "fewer than 50,000 train rows"),
        (50_000, [], 2, "50,000 train rows or more"),
        # 15 rows a step have one canonical shard, which two ranks cannot share.
        (
            50_000,
            ["train.global_batch_size=15", "stream.canonical_shards=null"],
            1,
            "1 canonical shards cannot be shared by 2",
        ),
        (
            50_000,
            ["train.global_batch_size=15", "stream.canonical_shards=5"],
            1,
            "5 canonical shards cannot be shared by 2",
        ),
    ],
)
def test_auto_is_chosen_by_the_train_rows(
    rows: int, overrides: list[str], ranks: int, why: str, tmp_path: Path
) -> None:
    choice = choose_ranks(tiny_recipe(tmp_path, AUTO, *overrides), rows)
    assert choice.recipe.train.ranks == ranks
    assert choice.recipe.dump_resolved()["train"]["ranks"] == ranks
    assert choice.rule == f"train.ranks is auto: {why}"
    named = "1 rank" if ranks == 1 else "2 ranks"
    assert choice.describe() == f"starting {named} (train.ranks is auto: {why})"


def identify(recipe: Recipe) -> dict[str, Any]:
    """Return what tells a training apart from others."""
    return collect_settings(recipe)


def test_a_training_is_the_same_one_whoever_chose_its_ranks(tmp_path: Path) -> None:
    automatic = tiny_recipe(tmp_path, AUTO)
    chosen = choose_ranks(automatic, 10).recipe
    assert identify(automatic) == identify(chosen) == identify(tiny_recipe(tmp_path))
    assert chosen.folder == automatic.folder


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("train.min_ranks=1", "auto chooses by the rows, and an elastic training"),
        ("train.max_ranks=4", "auto chooses by the rows, and an elastic training"),
        ("train.launcher.kind=spark", "auto chooses ranks of this machine"),
    ],
)
def test_ranks_that_are_elastic_or_elsewhere_have_a_number(
    override: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=f"train.ranks: {problem}"):
        tiny_recipe(tmp_path, AUTO, override)
