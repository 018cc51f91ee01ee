"""Decide when checkpoints are written, and from which one a training resumes.

Files and folders of checkpoints are the business of `checkpoint.py`, what is in them of `state.py`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras

from headrace.distributed.rank.collectives import Collectives
from headrace.errors import TrainError
from headrace.file_lock import LockState
from headrace.progress import Progress, Report
from headrace.recipe import sections as s
from headrace.train.checkpoint import (
    Checkpoints,
    SavedCheckpoint,
    name_attempt,
    read_checkpoint,
)
from headrace.train.checkpoint_writer import CheckpointWriter
from headrace.train.finite import check_model, find_bad_arrays
from headrace.train.row_optimizer import AnyOptimizer
from headrace.train.state import TrainState, assign_arrays, collect_arrays


class NoCheckpoints:
    """The policy of the ranks other than 0, which write none."""

    def on_update_end(self, state: TrainState, steps_per_epoch: int) -> None:
        pass

    def on_epoch_end(self, state: TrainState, steps_per_epoch: int, *, last: bool) -> None:
        pass

    def write_last(self, state: TrainState, steps_per_epoch: int) -> None:
        pass


class ScheduledCheckpoints:
    """The policy of rank 0: write as often as the recipe says."""

    def __init__(
        self,
        settings: s.Train,
        writer: CheckpointWriter,
        model: keras.Model,
        optimizer: AnyOptimizer,
        collect_extras: Callable[[], dict[str, Any]],
    ) -> None:
        """
        Args:
            settings: how often to write, and what to name where weights are not finite.
            writer: where to.
            model, optimizer: whose variables are saved.
            collect_extras: returns what the state does not have, such as the id of the tracked run.
        """
        self._train, self._settings, self._writer = settings, settings.checkpoint, writer
        self._model, self._optimizer, self._collect_extras = model, optimizer, collect_extras
        self._written_at = time.monotonic()
        self._updates_since = 0

    def on_update_end(self, state: TrainState, steps_per_epoch: int) -> None:
        settings = self._settings
        self._updates_since += 1
        minutes = (time.monotonic() - self._written_at) / 60
        by_steps = settings.every_steps and self._updates_since >= settings.every_steps
        if by_steps or (settings.every_minutes and minutes >= settings.every_minutes):
            self._write_checkpoint(state, steps_per_epoch)

    def on_epoch_end(self, state: TrainState, steps_per_epoch: int, *, last: bool) -> None:
        every = self._settings.every_epochs
        # Always after the last one: if registering the model fails, only that is left to do.
        if last or (every and state.epochs_run % every == 0):
            self._write_checkpoint(state, steps_per_epoch)

    def write_last(self, state: TrainState, steps_per_epoch: int) -> None:
        self._write_checkpoint(state, steps_per_epoch)
        self._writer.wait_until_written()

    def _write_checkpoint(self, state: TrainState, steps_per_epoch: int) -> None:
        self._written_at, self._updates_since = time.monotonic(), 0
        number = state.epoch * steps_per_epoch + state.step
        values = {**self._collect_extras(), "steps": steps_per_epoch, "state": state.to_json()}
        arrays = collect_arrays(self._model, self._optimizer, state.best_weights)
        if find_bad_arrays(arrays):
            # Never a state from which no training can go on: the checkpoint before it stays.
            check_model(self._model, self._optimizer, f"after step {number}", self._train)
        best_step = (state.best.epoch + 1) * steps_per_epoch if state.best.epoch >= 0 else None
        self._writer.submit_checkpoint(number, values, arrays, best_step)


@dataclass(frozen=True)
class ResumePoint:
    """The attempt that a training belongs to, and the checkpoint that it resumes from.

    Attributes:
        attempt: its folder among the training's checkpoints.
        saved: None where the training starts from scratch.
    """

    attempt: str
    saved: SavedCheckpoint | None


def find_resume_point(
    checkpoints: Checkpoints, resume: str, report: Report, own_attempt: str = ""
) -> ResumePoint:
    """Find the checkpoint that `--resume` selects.

    Args:
        checkpoints: of this training.
        resume: `auto`, `never`, or a checkpoint's path or URL.
        report: called with what was skipped, and why.
        own_attempt: name of this training's attempt. Where its ranks are started again, it has
            checkpoints of its own, and they are resumed whatever `resume` says.

    Raises:
        TrainError: the checkpoint at `resume` is not whole.
    """
    if own_attempt and (newest := _read_newest(checkpoints, own_attempt, report)):
        return ResumePoint(own_attempt, newest)
    if resume not in ("auto", "never"):
        saved = read_checkpoint(resume)  # tracked in a run of its own: the other one has ended
        if problem := find_number_problem(saved):
            raise TrainError(problem)
        return ResumePoint(
            own_attempt or name_attempt(), replace(saved, state={**saved.state, "run_id": None})
        )
    for attempt in checkpoints.list_unfinished() if resume == "auto" else []:
        state = checkpoints.lock_attempt(attempt)
        if state is LockState.HELD:
            report(Progress(f"skipped: {attempt} is running in another process"))
            continue
        newest = _read_newest(checkpoints, attempt, report)
        if newest is None:
            continue
        if state is LockState.UNKNOWN:
            text = "has no locks: run this training in one process at a time"
            report(Progress(f"{checkpoints.root} {text}"))
        return ResumePoint(attempt, newest)
    return ResumePoint(own_attempt or name_attempt(), None)


def _read_newest(checkpoints: Checkpoints, attempt: str, report: Report) -> SavedCheckpoint | None:
    """Read the newest checkpoint of an attempt that is of use, and report those that are not."""
    newest, problems = checkpoints.read_newest(attempt, find_number_problem)
    for problem in problems:
        report(Progress(f"skipped: {problem}"))
    return newest


def find_number_problem(saved: SavedCheckpoint) -> str:
    """Return why no training can go on from a checkpoint; "" where its numbers are finite.

    Older Headraces wrote such ones.
    """
    bad = find_bad_arrays({n: array for n, array in saved.arrays.items() if n[0] in "wo"})
    if not bad:
        return ""
    return (
        f"checkpoint {saved.location} has {len(bad)} variables with numbers that are not finite, "
        "from which no training can go on"
    )


def check_checkpoint_fits(checkpoint_extras: dict[str, Any], dataset: str, steps: int) -> None:
    """Check that a checkpoint is of this dataset, and of epochs of as many steps.

    Args:
        checkpoint_extras: values of the checkpoint beside its arrays.
        dataset: digest of the dataset version.
        steps: of an epoch.

    Raises:
        TrainError: it is not; its epoch and step would then mean other rows.
    """
    expected = {"dataset": dataset, "steps": steps}
    differences = [
        f"{key} {checkpoint_extras[key]}, here {value}"
        for key, value in expected.items()
        if checkpoint_extras[key] != value
    ]
    if differences:
        raise TrainError(
            f"the checkpoint is of another training ({'; '.join(differences)}); continue it with "
            "its own dataset version and train.global_batch_size, or use --resume never"
        )


def restore_checkpoint(
    resume_point: ResumePoint,
    model: keras.Model,
    optimizer: AnyOptimizer,
    early_stopping: s.EarlyStopping | None,
    collectives: Collectives,
) -> tuple[TrainState, dict[str, Any]] | None:
    """Restore model, optimizer and state from a checkpoint, on every rank.

    Args:
        resume_point: that of rank 0 counts; the others' are ignored.
        model, optimizer: of this rank; their variables are assigned.
        early_stopping: the recipe's section.
        collectives: the ranks.

    Returns:
        The state and the checkpoint's other values; None where there is no checkpoint.

    Raises:
        TrainError: it is of another model or optimizer.
    """
    saved = resume_point.saved if collectives.rank == 0 else None
    checkpoint_extras = collectives.broadcast_object(saved.state if saved else None)
    if checkpoint_extras is None:
        return None
    state = TrainState.from_json(checkpoint_extras["state"], early_stopping)
    if saved is not None:
        state.best_weights = assign_arrays(model, optimizer, saved.arrays, saved.location)
    collectives.broadcast_variables([*model.weights, *optimizer.variables])
    return state, checkpoint_extras
