"""Compute the learning rate of every update: a pure function of its step and of plateaus so far.

All ranks compute it from the same numbers, so they need not exchange it; and it is the same after
a resume, because its only state is the plateau's.

Decays are those of Keras (`keras.optimizers.schedules`), continuous except for `step`; warm-up and
scaling by ranks are those of Goyal et al. 2017 (arXiv:1706.02677).
"""

import math
from dataclasses import dataclass

from headrace.distributed.rank.collectives import Collectives
from headrace.labels.kinds import is_lower_better
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.stream.split_stream import SplitStream


@dataclass(frozen=True)
class LearningRate:
    """A schedule over the steps of a training.

    Attributes:
        settings: `train.schedule` of the recipe.
        base: rate of the optimizer's section.
        ranks: number of ranks.
        steps_per_epoch: global batches of an epoch.
        epochs: number that is planned.
    """

    settings: s.Schedule
    base: float
    ranks: int
    steps_per_epoch: int
    epochs: int

    @property
    def peak(self) -> float:
        """Return the rate after the warm-up and before any decay."""
        return self.base * (self.ranks if self.settings.scale_by_ranks else 1)

    @property
    def warmup_steps(self) -> int:
        """Return the number of steps before the peak is reached."""
        return round(self.settings.warmup_epochs * self.steps_per_epoch)

    def compute_rate(self, step: int, reductions: int = 0) -> float:
        """Return the rate of the update that ends with global batch `step`.

        Args:
            step: number of the batch, from 0 over all epochs.
            reductions: number of plateaus before it.
        """
        warmup = self.warmup_steps
        if step < warmup:
            # From the rate of one rank where the peak is scaled by ranks, else from 0.
            start = self.base if self.settings.scale_by_ranks else 0.0
            return start + (self.peak - start) * (step + 1) / warmup
        steps = self.steps_per_epoch * self.epochs - warmup
        return self.peak * self._compute_decay(step - warmup, steps, reductions)

    def _compute_decay(self, step: int, steps: int, reductions: int) -> float:
        """Return the share of the peak that is left `step` steps after the warm-up.

        Args:
            step: number of the batch, from 0 after the warm-up.
            steps: number that is planned after the warm-up.
            reductions: number of plateaus before it.
        """
        settings = self.settings
        done = min(1.0, step / max(1, steps))
        match settings:
            case s.StepDecay():
                epoch = (step + self.warmup_steps) // self.steps_per_epoch
                return settings.factor ** sum(epoch >= limit for limit in settings.epochs)
            case s.ExponentialDecay():
                return float(settings.factor ** (step / self.steps_per_epoch))
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
    """The epochs without improvement, and how often there were too many; saved in checkpoints.

    Attributes:
        best: best value so far.
        waited: number of epochs since then.
        reductions: number of times that the rate was lowered.
    """

    best: float | None = None
    waited: int = 0
    reductions: int = 0

    def record_value(self, value: float, settings: s.ReduceOnPlateau) -> bool:
        """Record an epoch's value; return whether the rate is lowered from here on.

        A value that is not finite is no improvement.
        """
        sign = -1 if is_lower_better(settings.metric) else 1
        is_first = self.best is None or not math.isfinite(self.best)
        improvement = math.inf if is_first else sign * (value - (self.best or 0.0))
        if math.isfinite(value) and improvement > settings.min_delta:
            self.best, self.waited = value, 0
            return False
        self.waited += 1
        if self.waited < settings.patience:
            return False
        self.waited = 0
        self.reductions += 1
        return True


def make_learning_rate(
    recipe: Recipe, collectives: Collectives, train: SplitStream
) -> LearningRate:
    """Make the learning rate of a training from its recipe, its ranks and its train stream."""
    settings = recipe.train
    return LearningRate(
        settings.schedule,
        settings.optimizer.learning_rate,
        collectives.size,
        train.steps,
        settings.epochs,
    )
