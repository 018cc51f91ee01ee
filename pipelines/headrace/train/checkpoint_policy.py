"""When checkpoints are written, and what a training continues."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras

from headrace.distributed.rank.collectives import Collectives
from headrace.errors import TrainError
from headrace.progress import Progress, Report
from headrace.recipe import sections as s
from headrace.train.checkpoint import Checkpoints, CheckpointWriter, Saved, read_checkpoint
from headrace.train.state import TrainState, arrays_of, assign_arrays


class NoKeeper:
    """Of the ranks other than 0."""

    def step_done(self, state: TrainState, steps: int) -> None:
        pass

    def epoch_done(self, state: TrainState, steps: int, *, last: bool) -> None:
        pass

    def ending(self, state: TrainState, steps: int) -> None:
        pass


class RankZeroKeeper:
    """Writes checkpoints as the recipe says."""

    def __init__(
        self,
        settings: s.Checkpoint,
        writer: CheckpointWriter,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        facts: Callable[[], dict[str, Any]],
    ) -> None:
        """
        Args:
            settings, writer: when and where.
            model, optimizer: what is kept.
            facts: gives what the state does not have, such as the tracked run.
        """
        self._settings, self._writer = settings, writer
        self._model, self._optimizer, self._facts = model, optimizer, facts
        self._written_at = time.monotonic()
        self._steps_since = 0

    def step_done(self, state: TrainState, steps: int) -> None:
        settings = self._settings
        self._steps_since += 1
        minutes = (time.monotonic() - self._written_at) / 60
        by_steps = settings.every_steps and self._steps_since >= settings.every_steps
        if by_steps or (settings.every_minutes and minutes >= settings.every_minutes):
            self._write(state, steps)

    def epoch_done(self, state: TrainState, steps: int, *, last: bool) -> None:
        every = self._settings.every_epochs
        # After the last one always: registering the model may fail, and is then all there is to do.
        if last or (every and state.epochs_run % every == 0):
            self._write(state, steps)

    def ending(self, state: TrainState, steps: int) -> None:
        self._write(state, steps)
        self._writer.wait()

    def _write(self, state: TrainState, steps: int) -> None:
        self._written_at, self._steps_since = time.monotonic(), 0
        number = state.epoch * steps + state.step
        if state.epoch > state.epochs_run:  # it stopped early
            number = state.epochs_run * steps
        facts = {**self._facts(), "steps": steps, "state": state.to_json()}
        arrays = arrays_of(self._model, self._optimizer, state.kept)
        best_step = (state.best.epoch + 1) * steps if state.best.epoch >= 0 else None
        self._writer.write(number, facts, arrays, best_step)


@dataclass(frozen=True)
class Continued:
    """What a training begins with.

    Attributes:
        attempt: its folder among the training's checkpoints.
        saved: the checkpoint that it goes on from; rank 0 has its arrays.
    """

    attempt: str
    saved: Saved | None


def find_checkpoint(checkpoints: Checkpoints, resume: str, report: Report) -> Continued:
    """What `--resume` asks for.

    Args:
        checkpoints: of this training.
        resume: `auto`, `never`, or a checkpoint's folder or URL.
        report: told what was found, and passed over.

    Raises:
        TrainError: the checkpoint that was asked for is not whole.
    """
    if resume not in ("auto", "never"):
        saved = read_checkpoint(resume)  # in a run of its own: the other one has its end
        return Continued(
            checkpoints.new_attempt(), replace(saved, state={**saved.state, "run_id": None})
        )
    for attempt in checkpoints.unfinished() if resume == "auto" else []:
        if not checkpoints.hold(attempt):
            report(Progress(f"passed over: {attempt} is under way in another process"))
            continue
        newest, passed = checkpoints.newest(attempt)
        for why in passed:
            report(Progress(f"passed over: {why}"))
        if newest is not None:
            return Continued(attempt, newest)
    return Continued(checkpoints.new_attempt(), None)


def check_fits(facts: dict[str, Any], dataset: str, steps: int) -> None:
    """Whether a checkpoint is of this dataset, and of epochs of as many steps.

    Raises:
        TrainError: it is not; the place that it was written at would mean other rows.
    """
    wanted = {"dataset": dataset, "steps": steps}
    wrong = [f"{k} {facts[k]}, here {v}" for k, v in wanted.items() if facts[k] != v]
    if wrong:
        raise TrainError(
            f"the checkpoint is of another training ({'; '.join(wrong)}); continue it with its own "
            "dataset version and train.global_batch_size, or use --resume never"
        )


def restore(
    found: Continued,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    early_stopping: s.EarlyStopping | None,
    collectives: Collectives,
) -> tuple[TrainState, dict[str, Any]] | None:
    """Take a checkpoint's values over on every rank; None where there is none.

    Args:
        found: on rank 0; what other ranks give is not looked at.

    Returns:
        the state, and the facts beside it.

    Raises:
        TrainError: it is of another model or optimizer.
    """
    saved = found.saved if collectives.rank == 0 else None
    facts = collectives.broadcast_object(saved.state if saved else None)
    if facts is None:
        return None
    state = TrainState.from_json(facts["state"], early_stopping)
    if saved is not None:
        state.kept = assign_arrays(model, optimizer, saved.arrays, saved.place)
    collectives.broadcast_variables([*model.weights, *optimizer.variables])
    return state, facts
