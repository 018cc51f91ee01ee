"""Choose how many ranks a recipe has whose `train.ranks` is `auto`: by the rows of its dataset."""

import math
from dataclasses import dataclass

from headrace.recipe import Recipe
from headrace.recipe.model_requirements import MOST_SHARDS
from headrace.recipe.train_sections import MOST_AUTOMATIC_RANKS

# Train rows from which on a second rank is started. It costs the import of TensorFlow, some 4 s of
# a core, and a sum of gradients every step, whatever the rows are.
_FEW_ROWS = 50_000


@dataclass(frozen=True)
class RankChoice:
    """A number of ranks that was chosen.

    Attributes:
        recipe: with the number in place of `auto`.
        rule: that chose it, in words; "" where the recipe has a number.
    """

    recipe: Recipe
    rule: str

    @property
    def ranks(self) -> int:
        return self.recipe.train.rank_count

    def describe(self) -> str:
        """Describe the ranks that are started: `starting 1 rank (train.ranks is auto: …)`."""
        text = f"starting {self.ranks} rank{'s' if self.ranks > 1 else ''}"
        return f"{text} ({self.rule})" if self.rule else text


def choose_ranks(recipe: Recipe, train_rows: int) -> RankChoice:
    """Choose the number of ranks that train and evaluate on a dataset version.

    Args:
        recipe: its `train.ranks` is a number, which stays, or `auto`.
        train_rows: rows of the train split.
    """
    train, stream = recipe.train, recipe.stream
    if train.ranks != "auto":
        return RankChoice(recipe, "")
    # As `recipe.train_checks.check_batches` counts them.
    shards = stream.canonical_shards or math.gcd(MOST_SHARDS, train.global_batch_size)
    ranks, why = MOST_AUTOMATIC_RANKS, f"{_FEW_ROWS:,} train rows or more"
    if train_rows < _FEW_ROWS:
        ranks, why = 1, f"fewer than {_FEW_ROWS:,} train rows"
    elif shards % ranks:
        ranks, why = 1, f"{shards} canonical shards cannot be shared by {ranks}"
    chosen = recipe.model_copy(update={"train": train.model_copy(update={"ranks": ranks})})
    return RankChoice(chosen, f"train.ranks is auto: {why}")
