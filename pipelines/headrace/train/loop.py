"""The training loop of one rank: epochs over the stream, validation, best weights, early stop.

Every decision is taken on numbers that are the same on every rank, so that ranks never part ways.
What a rank wants the others to know (that it was told to end) goes with the gradients, and is
looked at a step later, when it costs no waiting.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives
from headrace.errors import PreemptedError, TrainError
from headrace.models.predict import Predictor
from headrace.progress import Progress, Report
from headrace.recipe import sections as s
from headrace.stream.split_stream import SplitStream
from headrace.train.learning_rate import LearningRate
from headrace.train.state import TrainState
from headrace.train.step import StepResult
from headrace.train.validation import validate
from headrace.train.weight_check import compare_weights
from headrace.transform.spec import LabelSpec

# Shortest time between two progress reports, seconds.
_REPORT_EVERY = 0.5
# A rank's flag where the ranks are to meet anew; below it is the number of those told to end.
_CHANGE = 65_536.0


class RanksChangeError(Exception):
    """All ranks are after the same step, to meet anew."""


class Keeper(Protocol):
    """Who writes checkpoints; on ranks other than 0 nobody."""

    def step_done(self, state: TrainState, steps: int) -> None:
        """A step was done, and an update with it."""

    def epoch_done(self, state: TrainState, steps: int, *, last: bool) -> None:
        """An epoch was done and judged."""

    def ending(self, state: TrainState, steps: int) -> None:
        """The process is about to end; return when a checkpoint is written."""


@dataclass(frozen=True)
class Parts:
    """What a training is put together from.

    Attributes:
        model: trained in place.
        step: one training step (`step.TrainStep`).
        train: this rank's stream.
        batches: of it, from the state's epoch and step to the last epoch.
        validation: this rank's stream; `None` where there is no validation split.
        rate: of every step.
        settings: the recipe's.
        label: what the label means.
        collectives: the ranks.
        keeper: of checkpoints.
        stopping: whether this rank was told to end.
        report: told of progress.
        log: called with an epoch's metrics and number; None on ranks that are silent.
        log_steps: likewise with a step's, every `log_every` steps.
        allreduce_seconds: what the sum of a step's gradients over ranks takes.
    """

    model: keras.Model
    step: Callable[..., StepResult]
    train: SplitStream
    batches: Iterator[dict[str, tf.Tensor]]
    validation: SplitStream | None
    rate: LearningRate
    settings: s.Train
    label: LabelSpec
    collectives: Collectives
    keeper: Keeper
    stopping: Callable[[], bool]
    report: Report
    log: Callable[[Mapping[str, float], int], None] | None = None
    log_steps: Callable[[Mapping[str, float], int], None] | None = None
    log_every: int | None = None
    allreduce_seconds: Callable[[], float] = lambda: 0.0


def run_epochs(parts: Parts, state: TrainState) -> None:
    """Train from where `state` is to the last epoch; the model holds the best epoch's weights then.

    Raises:
        TrainError: the loss is not finite, ranks differ, or no row of an epoch weighs anything.
        StreamError: rows delivered differ from the plan.
        PreemptedError: a rank was told to end; a checkpoint was written.
        RanksChangeError: the ranks are to be others; the state is where they go on.
    """
    predictor = Predictor(parts.model)
    while state.epoch < parts.settings.epochs:
        epoch = state.epoch
        metrics = _train_epoch(parts, state)
        if parts.validation is not None:
            found = validate(predictor, parts.validation, parts.collectives, parts.label)
            metrics |= {f"val_{name}": value for name, value in found.items()}
        metrics = parts.collectives.broadcast_object(metrics)
        if parts.log:
            parts.log(metrics, epoch)
        parts.report(_said(metrics, epoch, parts.settings.epochs))
        state.history = [*state.history[:epoch], metrics]
        go_on = _judge(parts, state, metrics)
        state.epoch, state.step, state.losses, state.weights = epoch + 1, 0, [], []
        state.epochs_run = epoch + 1
        if not go_on:
            state.epoch = parts.settings.epochs
        last = state.epoch == parts.settings.epochs
        parts.keeper.epoch_done(state, parts.train.steps, last=last)
    if state.best.epoch != state.epochs_run - 1:
        if state.kept is not None:
            for variable, value in zip(parts.model.weights, state.kept, strict=True):
                variable.assign(value)
        parts.collectives.broadcast_variables(parts.model.weights)


def _said(metrics: Mapping[str, float], epoch: int, epochs: int) -> Progress:
    """An epoch's metrics for people, and for who watches."""
    shown = [name for name in metrics if name == "train_loss" or name.startswith("val_")]
    told = ", ".join(f"{name} {metrics[name]:.4g}" for name in shown)
    text = f"epoch {epoch + 1} of {epochs}: {told}"
    return Progress(text, metrics={**metrics, "epoch": float(epoch)})


def _judge(parts: Parts, state: TrainState, metrics: Mapping[str, float]) -> bool:
    """Take an epoch's metrics in; whether there is to be another one."""
    epoch, best = state.epoch, state.best
    validated = parts.validation is not None
    schedule = parts.settings.schedule
    if validated and isinstance(schedule, s.ReduceOnPlateau):
        lowered = state.plateau.seen(_followed(metrics, schedule.metric, "schedule"), schedule)
        if lowered:
            rate = parts.rate.at((epoch + 1) * parts.train.steps, state.plateau.reductions)
            parts.report(Progress(f"plateau: learning rate {rate:.3g} from epoch {epoch + 2} on"))
    if not validated or best.improved(_followed(metrics, best.metric, "early_stopping"), epoch):
        best.epoch = epoch
        state.metrics = dict(metrics)
        if parts.collectives.rank == 0 or parts.collectives.elastic:
            state.kept = [np.array(v) for v in parts.model.weights]
        return True
    return not best.should_stop(epoch)


def _followed(metrics: Mapping[str, float], metric: str, section: str) -> float:
    """The validation value that decides."""
    value = metrics.get(f"val_{metric}")
    if value is None:
        raise TrainError(
            f"train.{section}.metric is {metric}, which is not defined on a validation "
            "split with labels of one class only; follow the loss, or give the split more keys"
        )
    return value


def _train_epoch(parts: Parts, state: TrainState) -> dict[str, float]:
    """Metrics of the rest of the state's epoch."""
    steps, epoch, settings = parts.train.steps, state.epoch, parts.settings
    pulse, began_at, last = parts.collectives.pulse, state.step, None
    wait, stepped = 0.0, []
    started = reported = time.monotonic()
    while state.step < steps:
        number = epoch * steps + state.step
        asked = time.monotonic()
        batch = next(parts.batches, None)
        wait += time.monotonic() - asked
        if batch is None:
            raise TrainError(f"epoch {epoch}: {state.step} steps were run, {steps} planned")
        rate = parts.rate.at(number, state.plateau.reductions)
        ends = state.step + 1 == steps
        update = ends or (state.step + 1) % settings.accumulate == 0
        pulse.enter(number)
        flag = float(parts.stopping()) + _CHANGE * parts.collectives.change_asked()
        result = parts.step(batch, number, rate=rate, flag=flag, update=update)
        pulse.leave(number)
        stepped.append(time.monotonic() - asked)
        state.losses.append(result.loss)
        state.weights.append(result.weight)
        state.step += 1
        if update:
            if number < settings.accumulate or (number + 1) % settings.compare_every == 0:
                compare_weights(parts.model, parts.collectives, f"after step {number + 1}")
            # Looked at an update late: by now it is there.
            flags = float(last.flags) if last is not None else 0.0
            if flags % _CHANGE:
                _end(parts, state)
            if flags:
                raise RanksChangeError
            last = result
            every = parts.log_every
            if parts.log_steps and every and (number + 1) % every < settings.accumulate:
                parts.log_steps({"loss": float(result.loss), "learning_rate": rate}, number + 1)
            parts.keeper.step_done(state, steps)
        now = time.monotonic()
        if now - reported >= _REPORT_EVERY or ends:
            reported = now
            _check(float(result.loss), epoch, state.step)
            parts.report(Progress(f"epoch {epoch + 1} of {settings.epochs}", state.step, steps))
    state.settle()
    _check(float(np.sum(state.losses)), epoch, steps)
    seconds = time.monotonic() - started
    if began_at < steps:  # else the checkpoint was written after the last step
        state.rates.append(parts.train.rows * (steps - began_at) / steps / seconds)
    state.waited, state.worked = state.waited + wait, state.worked + seconds
    return {
        "train_loss": epoch_loss(np.array(state.losses), np.array(state.weights)),
        "rows_per_second": state.rates[-1] if state.rates else 0.0,
        "input_wait_share": wait / seconds,
        # Measured alone, so it may be slower than within the steps where others use the machine.
        "allreduce_share": min(1.0, parts.allreduce_seconds() * (steps - began_at) / seconds),
        **{
            f"step_milliseconds_p{share}": float(np.percentile(stepped or [0.0], share)) * 1000
            for share in (50, 95, 99)
        },
        "learning_rate": parts.rate.at((epoch + 1) * steps - 1, state.plateau.reductions),
    }


def _end(parts: Parts, state: TrainState) -> None:
    """All ranks are here at the same step."""
    parts.keeper.ending(state, parts.train.steps)
    number = state.epoch * parts.train.steps + state.step
    raise PreemptedError(f"told to end; a checkpoint was written after step {number}")


def epoch_loss(losses: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean of an epoch's rows, from the mean and the weight of every step's; (steps,).

    Raises:
        TrainError: all weights are 0.
    """
    if not weights.any():
        raise TrainError(
            "every row of the train split has sample weight 0, so there is nothing to learn from; "
            "mend label.sample_weight or label.class_weight, and prepare the dataset again"
        )
    return float(np.average(losses, weights=weights))


def _check(loss: float, epoch: int, step: int) -> None:
    if not np.isfinite(loss):
        raise TrainError(
            f"the loss is {loss} in epoch {epoch + 1}, by step {step}; lower "
            "train.optimizer.learning_rate, set train.optimizer.clip_norm, and look for extreme "
            "values in the features"
        )
