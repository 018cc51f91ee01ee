"""How far a training is: everything that a checkpoint keeps beside weights and optimizer."""

from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np

from headrace.errors import TrainError
from headrace.recipe import sections as s
from headrace.train.early_stopping import BestEpoch
from headrace.train.learning_rate import Plateau


@dataclass
class TrainState:
    """The same on every rank, `kept` aside.

    Attributes:
        epoch, step: the next one to be trained: an epoch, and a step of it.
        losses, weights: of the epoch's steps so far; tensors until they are settled.
        best: which epoch was best.
        metrics: of the best epoch.
        kept: the model's weights after the best epoch; rank 0 has them.
        plateau: of the learning rate.
        epochs_run: epochs that were finished.
        history: metrics of each of them, for a tracked run that did not get them.
        rates: rows a second of each epoch; waited, worked: seconds for input, and in all.
    """

    best: BestEpoch
    epoch: int = 0
    step: int = 0
    losses: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    kept: list[np.ndarray] | None = None
    plateau: Plateau = field(default_factory=Plateau)
    epochs_run: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    waited: float = 0.0
    worked: float = 0.0

    def settle(self) -> None:
        """Ask for the values of losses and weights, which waits for the steps."""
        self.losses = [float(value) for value in self.losses]
        self.weights = [float(value) for value in self.weights]

    def rewind(self, updates: int, steps: int, accumulate: int) -> None:
        """Go back to the place after so many updates, all epochs counted.

        Args:
            updates: that the weights had; of this epoch, or of the last ones.
            steps: of an epoch.
            accumulate: steps that make an update; the last one of an epoch always makes one.
        """
        in_epoch = updates - self.epoch * -(-steps // accumulate)
        self.step = max(0, min(in_epoch * accumulate, steps))  # 0 also where it stopped early
        self.losses, self.weights = self.losses[: self.step], self.weights[: self.step]

    def updates(self, steps: int, accumulate: int) -> int:
        """How many updates the weights had by now, where no step after the last one was run."""
        return self.epoch * -(-steps // accumulate) + -(-self.step // accumulate)

    def to_json(self) -> dict[str, Any]:
        """A copy, without `kept`."""
        self.settle()
        return {
            "epoch": self.epoch,
            "step": self.step,
            "losses": list(self.losses),
            "weights": list(self.weights),
            "best": {"epoch": self.best.epoch, "best": self.best.best},
            "metrics": dict(self.metrics),
            "plateau": asdict(self.plateau),
            "epochs_run": self.epochs_run,
            "history": [dict(metrics) for metrics in self.history],
            "rates": list(self.rates),
            "waited": self.waited,
            "worked": self.worked,
        }

    @staticmethod
    def from_json(tree: dict[str, Any], early_stopping: s.EarlyStopping | None) -> "TrainState":
        found = dict(tree)
        best = BestEpoch(early_stopping, **found.pop("best"))
        plateau = Plateau(**found.pop("plateau"))
        return TrainState(best=best, plateau=plateau, **found)


def arrays_of(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, kept: list[np.ndarray] | None
) -> dict[str, np.ndarray]:
    """Copies of all variables by name: `w…` of the model, `o…` of the optimizer, `b…` the best."""
    named = {"w": model.weights, "o": optimizer.variables}
    found = {
        f"{letter}{number:04d}": np.array(keras.ops.convert_to_numpy(variable))
        for letter, variables in named.items()
        for number, variable in enumerate(variables)
    }
    return found | {f"b{number:04d}": array for number, array in enumerate(kept or [])}


def assign_arrays(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    arrays: dict[str, np.ndarray],
    place: str,
) -> list[np.ndarray] | None:
    """Give variables their values again; returns the best epoch's weights.

    Raises:
        TrainError: they are of another model or optimizer.
    """
    for letter, variables in (("w", model.weights), ("o", optimizer.variables)):
        names = sorted(name for name in arrays if name.startswith(letter))
        shapes = [tuple(arrays[name].shape) for name in names]
        wanted = [tuple(variable.shape) for variable in variables]
        if shapes != wanted:
            what = "model" if letter == "w" else "optimizer"
            raise TrainError(
                f"checkpoint {place} is of another {what}: it has {len(shapes)} variables, the "
                f"recipe's has {len(wanted)}, or their shapes differ; use --resume never to begin "
                "anew"
            )
        for variable, name in zip(variables, names, strict=True):
            variable.assign(arrays[name])
    return [arrays[name] for name in sorted(arrays) if name.startswith("b")] or None


def place_of(state: TrainState, steps: int) -> str:
    """How far a training is, in words."""
    if state.epoch == state.epochs_run and not state.step:
        return f"after epoch {state.epochs_run}"
    return f"in epoch {state.epoch + 1} after step {state.step} of {steps}"
