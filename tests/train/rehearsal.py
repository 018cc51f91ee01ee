"""A training loop over a step that is replaced."""

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.labels.spec import LabelSpec
from headrace.progress import Progress
from headrace.recipe import sections as s
from headrace.train.early_stopping import BestEpoch
from headrace.train.learning_rate import LearningRate
from headrace.train.loop import LoopContext, run_epochs
from headrace.train.state import TrainState
from headrace.train.step import StepResult

STEPS = 4


class RecordingPolicy:
    """A `CheckpointPolicy` that keeps what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.requests: list[float] = []
        self.request = 0.0

    def get_request(self) -> float:
        self.requests.append(self.request)
        return self.request

    def on_update_end(
        self, state: TrainState, steps_per_epoch: int, *, requested: bool = False
    ) -> None:
        self.calls.append(("update", state.epoch, state.step, *(["asked"] if requested else [])))

    def on_ranks_change(self, state: TrainState, steps_per_epoch: int) -> None:
        self.calls.append(("change", state.epoch, state.step))

    def restore_best(self, state: TrainState, steps_per_epoch: int) -> None:
        self.calls.append(("best", state.best.epoch))

    def on_epoch_end(self, state: TrainState, steps_per_epoch: int, *, last: bool) -> None:
        self.calls.append(("epoch", state.epochs_run, last))

    def write_last(self, state: TrainState, steps_per_epoch: int) -> None:
        self.calls.append(("last", state.epoch, state.step))


class Rehearsal:
    """A loop whose step adds 1 to the model's weight and records its arguments."""

    def __init__(self, **settings: Any) -> None:
        inputs = keras.Input((1,))
        self.model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
        self.model.set_weights([np.zeros((1, 1))])
        self.optimizer = keras.optimizers.SGD(0.1)
        self.settings = s.Train(**{"epochs": 2, **settings})
        self.policy = RecordingPolicy()
        self.steps: list[dict[str, Any]] = []
        self.losses: Callable[[int], float] = lambda number: 0.5
        self.requests: Callable[[int], float] = lambda number: 0.0
        self.should_stop = False
        self.collectives = SoloCollectives()
        self.messages: list[str] = []
        self.epochs: list[tuple[int, Mapping[str, float]]] = []
        self.logged_steps: list[int] = []

    def run_step(self, batch: Any, number: int, **options: Any) -> StepResult:
        self.steps.append({"number": number, **options})
        self.model.weights[0].assign_add(np.ones((1, 1)))
        scalars = (self.losses(number), 8.0, self.requests(number))
        return StepResult(*(tf.constant(value if options["update"] else 0.0) for value in scalars))

    def run(self, state: TrainState | None = None, **changes: Any) -> TrainState:
        state = state or TrainState(BestEpoch(self.settings.early_stopping))
        train: Any = SimpleNamespace(steps=STEPS, rows=STEPS * 8)
        schedule = self.settings.schedule
        context = {
            "model": self.model,
            "optimizer": self.optimizer,
            "step": self.run_step,
            "train": train,
            "batches": iter(self.yield_batches()),
            "validation": None,
            "rate": LearningRate(schedule, 0.1, 1, STEPS, self.settings.epochs),
            "settings": self.settings,
            "label": LabelSpec(),
            "collectives": self.collectives,
            "checkpoint_policy": self.policy,
            "should_stop": lambda: self.should_stop,
            "report": self.report,
            "log": lambda metrics, epoch: self.epochs.append((epoch, metrics)),
            "log_steps": lambda metrics, step: self.logged_steps.append(step),
        }
        run_epochs(LoopContext(**{**context, **changes}), state)
        return state

    def yield_batches(self) -> Iterator[dict[str, Any]]:
        while True:
            yield {}

    def report(self, progress: Progress) -> None:
        self.messages.append(progress.text)

    @property
    def weight(self) -> float:
        return float(self.model.get_weights()[0][0][0])
