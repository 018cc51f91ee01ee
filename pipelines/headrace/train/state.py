"""Hold the progress of a training, and convert it and all variables to and from checkpoints."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np

from headrace.errors import TrainError
from headrace.recipe import sections as s
from headrace.train.early_stopping import BestEpoch
from headrace.train.learning_rate import Plateau
from headrace.train.row_optimizer import AnyOptimizer
from headrace.train.variables import list_whole_variables


@dataclass
class TrainState:
    """The progress of a training, the same on every rank except for `best_weights`.

    Attributes:
        best: the best epoch so far.
        epoch, step: the next step to be trained, and its epoch.
        losses, weights: of the epoch's steps so far; tensors until `fetch_losses`.
        metrics: of the best epoch.
        best_weights: the model's weights after the best epoch; on rank 0, elastic runs on all.
        plateau: the learning rate's.
        epochs_run: number of finished epochs.
        is_ended: whether it stopped early, so that no epoch follows.
        history: metrics of each finished epoch, for a tracked run that lacks them.
        rates: rows per second of each epoch.
        waited, worked: seconds spent waiting for input, and in all.
    """

    best: BestEpoch
    epoch: int = 0
    step: int = 0
    losses: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    best_weights: list[np.ndarray] | None = None
    plateau: Plateau = field(default_factory=Plateau)
    epochs_run: int = 0
    is_ended: bool = False
    history: list[dict[str, float]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    waited: float = 0.0
    worked: float = 0.0

    def fetch_losses(self) -> None:
        """Convert losses and weights to numbers, which waits for the steps in progress."""
        self.losses = [float(value) for value in self.losses]
        self.weights = [float(value) for value in self.weights]

    def rewind_to_update(self, updates: int, steps_per_epoch: int, accumulate: int) -> None:
        """Move back to the step after a number of updates, counted over all epochs.

        Args:
            updates: number that was applied to the weights.
            steps_per_epoch: global batches of an epoch.
            accumulate: steps of an update; the last step of an epoch always makes one.
        """
        in_epoch = updates - self.epoch * -(-steps_per_epoch // accumulate)
        self.step = max(0, min(in_epoch * accumulate, steps_per_epoch))
        self.losses, self.weights = self.losses[: self.step], self.weights[: self.step]

    def count_updates(self, steps_per_epoch: int, accumulate: int) -> int:
        """Return the number of updates so far, assuming that no step was run after the last one."""
        return self.epoch * -(-steps_per_epoch // accumulate) + -(-self.step // accumulate)

    def to_json(self) -> dict[str, Any]:
        """Return a copy as plain values, without `best_weights`."""
        self.fetch_losses()
        return {
            "epoch": self.epoch,
            "step": self.step,
            "losses": list(self.losses),
            "weights": list(self.weights),
            "best": {"epoch": self.best.epoch, "best": self.best.best},
            "metrics": dict(self.metrics),
            "plateau": asdict(self.plateau),
            "epochs_run": self.epochs_run,
            "is_ended": self.is_ended,
            "history": [dict(metrics) for metrics in self.history],
            "rates": list(self.rates),
            "waited": self.waited,
            "worked": self.worked,
        }

    @staticmethod
    def from_json(tree: dict[str, Any], early_stopping: s.EarlyStopping | None) -> "TrainState":
        """Return the state that `to_json` converted, following the recipe's metric."""
        values = dict(tree)
        best = BestEpoch(early_stopping, **values.pop("best"))
        if not all(map(math.isfinite, values["metrics"].values())):
            best.epoch = -1  # an older Headrace kept an epoch whose predictions are not finite
        plateau = Plateau(**values.pop("plateau"))
        return TrainState(best=best, plateau=plateau, **values)


def collect_arrays(
    model: keras.Model, optimizer: AnyOptimizer, best_weights: list[np.ndarray] | None
) -> dict[str, np.ndarray]:
    """Copy variables to arrays: `w…` of the model, `o…` of the optimizer, `b…` the best.

    Rows of sharded tables, and their moments, are not among them: `table_shards` has them.
    """
    whole = list_whole_variables(model, optimizer)
    named = {"w": whole.weights, "o": whole.moments}
    arrays = {
        f"{letter}{number:04d}": np.array(keras.ops.convert_to_numpy(variable))
        for letter, variables in named.items()
        for number, variable in enumerate(variables)
    }
    return arrays | {f"b{number:04d}": array for number, array in enumerate(best_weights or [])}


def assign_arrays(
    model: keras.Model,
    optimizer: AnyOptimizer,
    arrays: dict[str, np.ndarray],
    location: str,
) -> list[np.ndarray] | None:
    """Assign a checkpoint's arrays to the variables, and return the best epoch's weights.

    Args:
        model, optimizer: whose variables are assigned.
        arrays: see `collect_arrays`.
        location: of the checkpoint, for the error.

    Raises:
        TrainError: they are of another model or optimizer.
    """
    whole = list_whole_variables(model, optimizer)
    for letter, variables in (("w", whole.weights), ("o", whole.moments)):
        names = sorted(name for name in arrays if name.startswith(letter))
        difference = _describe_first_difference([arrays[name] for name in names], variables)
        if difference:
            owner = "model" if letter == "w" else "optimizer"
            raise TrainError(
                f"checkpoint {location} does not fit the recipe's {owner}: {difference}; use "
                "--resume never to start from scratch"
            )
        for variable, name in zip(variables, names, strict=True):
            variable.assign(arrays[name])
    return [arrays[name] for name in sorted(arrays) if name.startswith("b")] or None


def _describe_first_difference(
    arrays: Sequence[np.ndarray], variables: Sequence[keras.Variable]
) -> str:
    """Describe the first array that does not fit its variable; "" where all fit."""
    for array, variable in zip(arrays, variables, strict=False):
        if tuple(array.shape) != tuple(variable.shape):
            shapes = f"{tuple(array.shape)}, expected {tuple(variable.shape)}"
            return f"{variable.path} has shape {shapes}"
    if len(arrays) != len(variables):
        return f"it has {len(arrays)} variables, expected {len(variables)}"
    return ""


def describe_progress(state: TrainState, steps_per_epoch: int) -> str:
    """Describe the progress of a training in words."""
    if state.is_ended:
        return f"after epoch {state.epochs_run}, where it stopped early,"
    if state.epoch == state.epochs_run and not state.step:
        return f"after epoch {state.epochs_run}"
    return f"in epoch {state.epoch + 1} after step {state.step} of {steps_per_epoch}"
