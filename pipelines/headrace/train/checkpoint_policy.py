"""Decide when checkpoints are written, and from which one a training resumes.

Files and folders of checkpoints are the business of `checkpoint.py`, what is in them of `state.py`.
"""

import time
from collections.abc import Callable, Mapping
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
    name_checkpoint,
    read_checkpoint,
)
from headrace.train.checkpoint_writer import CheckpointWriter
from headrace.train.finite import check_model, find_bad_arrays
from headrace.train.row_optimizer import AnyOptimizer
from headrace.train.state import TrainState, assign_arrays, collect_arrays
from headrace.train.table_shards import TableShards
from headrace.train.variables import list_whole_variables


class NoCheckpoints:
    """The policy of the ranks other than 0, which write none."""

    def get_request(self) -> float:
        return 0.0

    def on_update_end(
        self, state: TrainState, steps_per_epoch: int, *, requested: bool = False
    ) -> None:
        pass

    def on_epoch_end(self, state: TrainState, steps_per_epoch: int, *, last: bool) -> None:
        pass

    def on_ranks_change(self, state: TrainState, steps_per_epoch: int) -> None:
        pass

    def write_last(self, state: TrainState, steps_per_epoch: int) -> None:
        pass

    def restore_best(self, state: TrainState, steps_per_epoch: int) -> None:
        pass


class ScheduledCheckpoints:
    """The policy of rank 0: write as often as the recipe says.

    Where tables are sharded every rank has it, and all of them write after the same steps.
    """

    def __init__(
        self,
        settings: s.Train,
        writer: CheckpointWriter | None,
        model: keras.Model,
        optimizer: AnyOptimizer,
        collect_extras: Callable[[], dict[str, Any]],
        shards: TableShards | None = None,
        folder: str = "",
        best_folder: str = "",
    ) -> None:
        """
        Args:
            settings: how often to write, and what to name where weights are not finite.
            writer: where to; None on ranks other than 0.
            model, optimizer: whose variables are saved.
            collect_extras: returns what the state does not have, such as the id of the tracked run.
            shards: the tables of which each rank has other rows; None where there are none.
            folder: of the attempt, for their files.
            best_folder: of the attempt with the best epoch's, where that is an earlier one.
        """
        self._train, self._settings, self._writer = settings, settings.checkpoint, writer
        self._model, self._optimizer, self._collect_extras = model, optimizer, collect_extras
        self._shards, self._folder = shards, folder
        self._best_folder = best_folder or folder
        self._written_at = time.monotonic()
        self._updates_since = 0
        self._is_requested = False

    def get_request(self) -> float:
        if self._shards is None or self._writer is None or self._is_requested:
            return 0.0
        self._is_requested = self._is_time()
        return float(self._is_requested) / 4

    def on_update_end(
        self, state: TrainState, steps_per_epoch: int, *, requested: bool = False
    ) -> None:
        settings = self._settings
        self._updates_since += 1
        by_steps = settings.every_steps and self._updates_since >= settings.every_steps
        # Clocks of ranks differ: they follow that of rank 0, which tells them.
        by_time = requested if self._shards else self._is_time()
        if by_steps or by_time:
            self._write_checkpoint(state, steps_per_epoch)

    def _is_time(self) -> bool:
        every = self._settings.every_minutes
        return every is not None and (time.monotonic() - self._written_at) / 60 >= every

    def on_epoch_end(self, state: TrainState, steps_per_epoch: int, *, last: bool) -> None:
        every = self._settings.every_epochs
        # The best rows of sharded tables are kept there and not in memory, which has no room.
        is_best = self._shards is not None and state.best.epoch == state.epochs_run - 1
        # Always after the last one: if registering the model fails, only that is left to do.
        if is_best:
            self._best_folder = self._folder
        if last or is_best or (every and state.epochs_run % every == 0):
            self._write_checkpoint(state, steps_per_epoch)

    def on_ranks_change(self, state: TrainState, steps_per_epoch: int) -> None:
        if self._shards is not None:  # no rank has what another one has
            self.write_last(state, steps_per_epoch)

    def write_last(self, state: TrainState, steps_per_epoch: int) -> None:
        self._write_checkpoint(state, steps_per_epoch)
        if self._writer:
            self._writer.wait_until_written()

    def restore_best(self, state: TrainState, steps_per_epoch: int) -> None:
        if self._shards is None:
            return
        step = _count_steps_to_best(state, steps_per_epoch)
        assert step is not None, "there is no best epoch"
        if self._writer:
            self._writer.wait_until_written()
        found = None
        if self._writer:
            saved = read_checkpoint(f"{self._best_folder}/{name_checkpoint(step)}")
            found = [self._best_folder, saved.state["tables"]]
        folder, tables = self._shards.broadcast(found)
        if problem := self._shards.find_problem(folder, tables):
            raise TrainError(f"the rows of the best epoch cannot be read: {problem}")
        self._shards.read(folder, tables, moments=False)

    def _write_checkpoint(self, state: TrainState, steps_per_epoch: int) -> None:
        self._written_at, self._updates_since = time.monotonic(), 0
        self._is_requested = False
        number = state.epoch * steps_per_epoch + state.step
        tables = self._shards.write(self._folder, number) if self._shards else None
        if self._writer is None:
            return
        values = {**self._collect_extras(), "steps": steps_per_epoch, "state": state.to_json()}
        if tables is not None:
            values |= {"tables": tables, "best_folder": self._best_folder}
        arrays = collect_arrays(self._model, self._optimizer, state.best_weights)
        if find_bad_arrays(arrays):
            # Never a state from which no training can go on: the checkpoint before it stays.
            check_model(self._model, self._optimizer, f"after step {number}", self._train)
        best_step = _count_steps_to_best(state, steps_per_epoch)
        self._writer.submit_checkpoint(number, values, arrays, best_step)


def _count_steps_to_best(state: TrainState, steps_per_epoch: int) -> int | None:
    """Return after how many steps the best epoch ended; None before the first."""
    return (state.best.epoch + 1) * steps_per_epoch if state.best.epoch >= 0 else None


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
    checkpoints: Checkpoints,
    resume: str,
    report: Report,
    own_attempt: str = "",
    damaged: Mapping[str, str] | None = None,
) -> ResumePoint:
    """Find the checkpoint that `--resume` selects.

    Args:
        checkpoints: of this training.
        resume: `auto`, `never`, or a checkpoint's path or URL.
        report: called with what was skipped, and why.
        own_attempt: name of this training's attempt. Where its ranks are started again, it has
            checkpoints of its own, and they are resumed whatever `resume` says.
        damaged: checkpoints whose rows of sharded tables are not whole, and why.

    Raises:
        TrainError: the checkpoint at `resume` is not whole.
    """
    damaged = damaged or {}
    if own_attempt and (newest := _read_newest(checkpoints, own_attempt, report, damaged)):
        return ResumePoint(own_attempt, newest)
    if resume not in ("auto", "never"):
        saved = read_checkpoint(resume)  # tracked in a run of its own: the other one has ended
        if problem := find_number_problem(saved) or damaged.get(saved.location, ""):
            raise TrainError(problem)
        return ResumePoint(
            own_attempt or name_attempt(), replace(saved, state={**saved.state, "run_id": None})
        )
    for attempt in checkpoints.list_unfinished() if resume == "auto" else []:
        state = checkpoints.lock_attempt(attempt)
        if state is LockState.HELD:
            report(Progress(f"skipped: {attempt} is running in another process"))
            continue
        newest = _read_newest(checkpoints, attempt, report, damaged)
        if newest is None:
            continue
        if state is LockState.UNKNOWN:
            text = "has no locks: run this training in one process at a time"
            report(Progress(f"{checkpoints.root} {text}"))
        return ResumePoint(attempt, newest)
    return ResumePoint(own_attempt or name_attempt(), None)


def read_newest(
    checkpoints: Checkpoints, attempt: str, damaged: Mapping[str, str]
) -> tuple[SavedCheckpoint | None, list[str]]:
    """Read the newest checkpoint of an attempt that is of use; return why newer ones are not.

    Args:
        checkpoints: of the training.
        attempt: which attempt.
        damaged: see `find_resume_point`.
    """

    def find_problem(saved: SavedCheckpoint) -> str:
        return damaged.get(saved.location, "") or find_number_problem(saved)

    return checkpoints.read_newest(attempt, find_problem)


def _read_newest(
    checkpoints: Checkpoints, attempt: str, report: Report, damaged: Mapping[str, str]
) -> SavedCheckpoint | None:
    """Read the newest checkpoint of an attempt that is of use, and report those that are not."""
    newest, problems = read_newest(checkpoints, attempt, damaged)
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
    collectives.broadcast_variables(list_whole_variables(model, optimizer).all)
    return state, checkpoint_extras
