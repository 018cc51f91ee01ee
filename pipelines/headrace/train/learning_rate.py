"""The learning rate of every update: a pure function of the update's number, and a plateau's state.

All ranks compute it from the same numbers, so that it needs no exchange; and it is the same after a
resume, because nothing of it is kept but how often a plateau was met.

Decays as Keras has them (`keras.optimizers.schedules`), without stairs unless they are asked for;
warm-up and scaling by ranks as Goyal et al. 2017 (arXiv:1706.02677).
"""

import math
from dataclasses import dataclass

from headrace.distributed.rank.collectives import Collectives
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.stream.split_stream import SplitStream
from headrace.train.early_stopping import SMALLER_IS_BETTER


@dataclass(frozen=True)
class LearningRate:
    """What decides the rate.

    Attributes:
        settings: of the recipe.
        base: rate of the optimizer's section.
        ranks: how many there are.
        steps: global batches of an epoch.
        epochs: planned.
    """

    settings: s.Schedule
    base: float
    ranks: int
    steps: int
    epochs: int

    @property
    def peak(self) -> float:
        """The rate after the warm-up and before any decay."""
        return self.base * (self.ranks if self.settings.scale_by_ranks else 1)

    def at(self, step: int, reductions: int = 0) -> float:
        """The rate of the update that ends with global batch `step` (from 0 over all epochs).

        Args:
            step: number of the batch.
            reductions: how often a plateau was met before.
        """
        warm = round(self.settings.warmup_epochs * self.steps)
        if step < warm:
            # From the rate of one rank where ranks multiply it, else from nothing.
            start = self.base if self.settings.scale_by_ranks else 0.0
            return start + (self.peak - start) * (step + 1) / warm
        return self.peak * self._decayed(step - warm, self.steps * self.epochs - warm, reductions)

    def _decayed(self, step: int, steps: int, reductions: int) -> float:
        """Share of the peak that is left `step` steps after the warm-up, of `steps` planned."""
        settings = self.settings
        done = min(1.0, step / max(1, steps))
        match settings:
            case s.StepDecay():
                epoch = (step + round(settings.warmup_epochs * self.steps)) // self.steps
                return settings.factor ** sum(epoch >= limit for limit in settings.epochs)
            case s.ExponentialDecay():
                return float(settings.factor ** (step / self.steps))
            case s.CosineDecay():
                half = 0.5 * (1 + math.cos(math.pi * done))
                return settings.final + (1 - settings.final) * half
            case s.PolynomialDecay():
                return float(settings.final + (1 - settings.final) * (1 - done) ** settings.power)
            case s.ReduceOnPlateau():
                return max(settings.factor**reductions, settings.lowest)
            case s.FixedRate():
                return 1.0


@dataclass
class Plateau:
    """Counts epochs without improvement, and how often there were too many; kept in checkpoints.

    Attributes:
        best: best value so far, of a metric of which the loss and mae are to be small.
        waited: epochs since.
        reductions: how often the rate was lowered.
    """

    best: float | None = None
    waited: int = 0
    reductions: int = 0

    def seen(self, value: float, settings: s.ReduceOnPlateau) -> bool:
        """Take an epoch's value in; whether the rate is lowered from here on."""
        sign = -1 if settings.metric in SMALLER_IS_BETTER else 1
        if self.best is None or sign * (value - self.best) > settings.min_delta:
            self.best, self.waited = value, 0
            return False
        self.waited += 1
        if self.waited < settings.patience:
            return False
        self.waited = 0
        self.reductions += 1
        return True


def rate_of_recipe(recipe: Recipe, collectives: Collectives, train: SplitStream) -> LearningRate:
    """The learning rate of every step."""
    settings = recipe.train
    return LearningRate(
        settings.schedule,
        settings.optimizer.learning_rate,
        collectives.size,
        train.steps,
        settings.epochs,
    )
