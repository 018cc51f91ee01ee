"""Run the training loop of one rank: epochs over the stream, validation, best epoch, early stop.

Every decision is based on numbers that are the same on every rank, so ranks never diverge. What a
rank has to tell the others (that it was asked to stop) is summed with the gradients, and read one
update later, when that costs no waiting.
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
from headrace.labels.spec import LabelSpec
from headrace.models.predict import Predictor
from headrace.number_text import format_number
from headrace.progress import Progress, Report
from headrace.recipe import sections as s
from headrace.recipe.evaluate_sections import EXACT_ROWS
from headrace.stream.split_stream import SplitStream
from headrace.train.finite import check_model, suggest_fixes
from headrace.train.learning_rate import LearningRate
from headrace.train.row_optimizer import AnyOptimizer
from headrace.train.state import TrainState
from headrace.train.step import StepResult
from headrace.train.validation import validate_split
from headrace.train.variables import list_whole_variables
from headrace.train.weight_check import compare_weights

# Shortest time between two progress reports, seconds.
_REPORT_EVERY = 0.5
# A rank's request to regroup. What is below it in the sum of requests counts the ranks that were
# asked to stop; what is below 1, whether a checkpoint is due.
_CHANGE = 65_536.0


class RanksChangeError(Exception):
    """The signal to form the next generation; all ranks raise it after the same step."""


class CheckpointPolicy(Protocol):
    """The decision when to write checkpoints."""

    def get_request(self) -> float:
        """Return the part of this rank's request that asks for a checkpoint, below 1."""

    def on_update_end(
        self, state: TrainState, steps_per_epoch: int, *, requested: bool = False
    ) -> None:
        """Write a checkpoint where one is due after this update, or was requested by a rank."""

    def on_epoch_end(self, state: TrainState, steps_per_epoch: int, *, last: bool) -> None:
        """Write a checkpoint where one is due after this epoch and its validation."""

    def on_ranks_change(self, state: TrainState, steps_per_epoch: int) -> None:
        """Write a checkpoint where the next generation of ranks cannot do without."""

    def write_last(self, state: TrainState, steps_per_epoch: int) -> None:
        """Write a checkpoint before the process ends, and wait until it is written."""

    def restore_best(self, state: TrainState, steps_per_epoch: int) -> None:
        """Restore the rows of the best epoch that `state.best_weights` does not have."""


@dataclass(frozen=True)
class LoopContext:
    """The objects that a training loop works with.

    Attributes:
        model: trained in place.
        optimizer: of its trainable variables.
        step: one training step (`step.TrainStep`).
        train: this rank's stream of the train split.
        batches: its batches, from the state's epoch and step to the last epoch.
        validation: this rank's stream; `None` where there is no validation split.
        rate: the learning rate of every step.
        settings: section of the recipe.
        label: the label's kind and unit.
        collectives: the ranks.
        checkpoint_policy: when to write checkpoints.
        should_stop: returns whether this rank was asked to stop.
        report: called with progress.
        log: called with an epoch's metrics and number; None on ranks that do not log.
        log_steps: called with a step's metrics and number, every `log_every` steps.
        log_every: None where steps are not logged.
        measure_allreduce_seconds: returns how long the sum of a step's gradients over ranks takes.
        measure_table_seconds: returns how long lookup, exchange and update of sparse tables take.
        describe_tables: returns rows and bytes of sparse tables per update, by name of a metric.
        measure_loss: returns the validation `loss` where it is no mean of losses by row.
        exact_rows: validation rows up to which metrics are exact, see `Evaluate.exact_rows`.
        open_run: called after every step; returns seconds that are not the training's.
    """

    model: keras.Model
    optimizer: AnyOptimizer
    step: Callable[..., StepResult]
    train: SplitStream
    batches: Iterator[dict[str, tf.Tensor]]
    validation: SplitStream | None
    rate: LearningRate
    settings: s.Train
    label: LabelSpec
    collectives: Collectives
    checkpoint_policy: CheckpointPolicy
    should_stop: Callable[[], bool]
    report: Report
    log: Callable[[Mapping[str, float], int], None] | None = None
    log_steps: Callable[[Mapping[str, float], int], None] | None = None
    log_every: int | None = None
    measure_allreduce_seconds: Callable[[], float] = lambda: 0.0
    measure_table_seconds: Callable[[], Mapping[str, float]] = dict
    describe_tables: Callable[[], Mapping[str, float]] = dict
    measure_loss: Callable[[SplitStream], Mapping[str, float]] | None = None
    exact_rows: int = EXACT_ROWS
    open_run: Callable[[], float] = lambda: 0.0


def run_epochs(context: LoopContext, state: TrainState) -> None:
    """Train from `state` to the last epoch; afterwards the model has the best epoch's weights.

    Args:
        context: the objects to work with.
        state: where to start; updated after every step.

    Raises:
        TrainError: the loss or a weight is not finite, no epoch's validation predictions are, the
            ranks' weights differ, or all rows of an epoch have weight 0.
        StreamError: rows delivered differ from the plan.
        PreemptedError: a rank was asked to stop; a checkpoint was written.
        RanksChangeError: the ranks are to change; the next generation continues from the state.
    """
    predictor = Predictor(context.model)
    while state.epoch < context.settings.epochs and not state.is_ended:
        epoch = state.epoch
        metrics = _train_epoch(context, state)
        when = f"after epoch {epoch + 1}"
        check_model(context.model, context.optimizer, when, context.settings, context.collectives)
        if context.validation is not None:
            validation_metrics = validate_split(
                predictor,
                context.validation,
                context.collectives,
                context.label,
                context.exact_rows,
            )
            if context.measure_loss:
                del validation_metrics["loss"]
                validation_metrics |= context.measure_loss(context.validation)
            metrics |= {f"val_{name}": value for name, value in validation_metrics.items()}
        metrics = context.collectives.broadcast_object(metrics)
        if context.log:
            context.log(metrics, epoch)
        context.report(_describe_epoch(metrics, epoch, context.settings.epochs))
        if any(
            name.startswith("val_") and not np.isfinite(value) for name, value in metrics.items()
        ):
            text = "predictions of the validation split are not finite; it cannot be the best"
            context.report(Progress(f"epoch {epoch + 1}: {text}"))
        state.history = [*state.history[:epoch], metrics]
        should_continue = _record_epoch(context, state, metrics)
        state.epoch, state.step, state.losses, state.weights = epoch + 1, 0, [], []
        state.epochs_run = epoch + 1
        state.is_ended = not should_continue
        last = state.is_ended or state.epoch == context.settings.epochs
        context.checkpoint_policy.on_epoch_end(state, context.train.steps, last=last)
    if state.best.epoch < 0:
        raise TrainError(
            f"in none of {state.epochs_run} epochs were all predictions of the validation split "
            f"finite, so no model was kept; {suggest_fixes(context.settings)}"
        )
    if state.best.epoch != state.epochs_run - 1:
        weights = list_whole_variables(context.model, context.optimizer).weights
        if state.best_weights is not None:
            for variable, value in zip(weights, state.best_weights, strict=True):
                variable.assign(value)
        context.collectives.broadcast_variables(weights)
        context.checkpoint_policy.restore_best(state, context.train.steps)


def _describe_epoch(metrics: Mapping[str, float], epoch: int, epochs: int) -> Progress:
    """Describe an epoch's metrics, in words and as values for observers."""
    names = [name for name in metrics if name == "train_loss" or name.startswith("val_")]
    values = ", ".join(f"{name} {format_number(metrics[name])}" for name in names)
    text = f"epoch {epoch + 1} of {epochs}: {values}"
    return Progress(text, metrics={**metrics, "epoch": float(epoch)})


def _record_epoch(context: LoopContext, state: TrainState, metrics: Mapping[str, float]) -> bool:
    """Update plateau and best epoch; return whether there is to be another epoch."""
    epoch, best = state.epoch, state.best
    is_validated = context.validation is not None
    schedule = context.settings.schedule
    if is_validated and isinstance(schedule, s.ReduceOnPlateau):
        value = _get_followed_metric(metrics, schedule.metric, "schedule")
        if state.plateau.record_value(value, schedule):
            next_step = (epoch + 1) * context.train.steps
            rate = context.rate.compute_rate(next_step, state.plateau.reductions)
            context.report(
                Progress(
                    f"plateau: learning rate {format_number(rate, 3)} from epoch {epoch + 2} on"
                )
            )
    is_best = True
    if is_validated:
        value = _get_followed_metric(metrics, best.metric, "early_stopping")
        is_best = best.record_value(value, epoch)
    if is_best:
        best.epoch = epoch
        state.metrics = dict(metrics)
        if context.collectives.rank == 0 or context.collectives.is_elastic:
            weights = list_whole_variables(context.model, context.optimizer).weights
            state.best_weights = [np.array(v) for v in weights]
        return True
    return not best.should_stop(epoch)


def _get_followed_metric(metrics: Mapping[str, float], metric: str, section: str) -> float:
    """Return the validation value that the schedule or early stopping follows.

    Raises:
        TrainError: it is not defined on this split.
    """
    value = metrics.get(f"val_{metric}")
    if value is None:
        raise TrainError(
            f"train.{section}.metric is {metric}, which is not defined on a validation "
            "split with labels of one class only; follow the loss, or give the split more keys"
        )
    return value


def _train_epoch(context: LoopContext, state: TrainState) -> dict[str, float]:
    """Train the rest of the state's epoch, and return its metrics."""
    steps, epoch, settings = context.train.steps, state.epoch, context.settings
    heartbeat, first_step, last_result = context.collectives.heartbeat, state.step, None
    waited, step_seconds = 0.0, []
    started_at = reported_at = time.monotonic()
    while state.step < steps:
        number = epoch * steps + state.step
        requested_at = time.monotonic()
        batch = next(context.batches, None)
        waited += time.monotonic() - requested_at
        if batch is None:
            raise TrainError(
                f"epoch {epoch + 1}: the stream ended after {state.step} of {steps} planned steps, "
                "a defect of Headrace; please report it"
            )
        rate = context.rate.compute_rate(number, state.plateau.reductions)
        is_epoch_end = state.step + 1 == steps
        is_update = is_epoch_end or (state.step + 1) % settings.accumulate == 0
        heartbeat.enter_step(number)
        request = float(context.should_stop()) + _CHANGE * context.collectives.is_change_requested()
        if is_update:
            request += context.checkpoint_policy.get_request()
        result = context.step(batch, number, rate=rate, request=request, update=is_update)
        heartbeat.leave_step(number)
        step_seconds.append(time.monotonic() - requested_at)
        started_at += context.open_run()
        state.losses.append(result.loss)
        state.weights.append(result.weight)
        state.step += 1
        if is_update:
            if number < settings.accumulate or (number + 1) % settings.compare_every == 0:
                compare_weights(context.model, context.collectives, f"after step {number + 1}")
            # Read one update late: by now the value has arrived.
            requests = float(last_result.requests) if last_result is not None else 0.0
            _follow_requests(context, state, requests)
            last_result = result
            log_every = context.log_every
            if context.log_steps and log_every and (number + 1) % log_every < settings.accumulate:
                context.log_steps({"loss": float(result.loss), "learning_rate": rate}, number + 1)
            context.checkpoint_policy.on_update_end(state, steps, requested=requests % 1 > 0)
        now = time.monotonic()
        if now - reported_at >= _REPORT_EVERY or is_epoch_end:
            reported_at = now
            _check_loss(float(result.loss), epoch, state.step, settings)
            context.report(Progress(f"epoch {epoch + 1} of {settings.epochs}", state.step, steps))
    state.fetch_losses()
    _check_loss(float(np.sum(state.losses)), epoch, steps, settings)
    seconds = time.monotonic() - started_at
    last_rate = context.rate.compute_rate((epoch + 1) * steps - 1, state.plateau.reductions)
    updates = -(-(steps - first_step) // settings.accumulate)
    allreduce_seconds = context.measure_allreduce_seconds() * updates
    if first_step < steps:  # else the checkpoint was written after the last step
        state.rates.append(context.train.rows * (steps - first_step) / steps / seconds)
    state.waited, state.worked = state.waited + waited, state.worked + seconds
    return {
        "train_loss": compute_epoch_loss(np.array(state.losses), np.array(state.weights)),
        "rows_per_second": state.rates[-1] if state.rates else 0.0,
        "input_wait_share": waited / seconds,
        # Measured outside of the steps, so it may be slower than in them on a shared machine.
        "allreduce_share": min(1.0, allreduce_seconds / seconds),
        **{
            f"table_{part}_share": min(1.0, own * count / seconds)
            for part, own in context.measure_table_seconds().items()
            for count in [steps - first_step if part == "lookup" else updates]
        },
        **context.describe_tables(),
        **{
            f"step_milliseconds_p{share}": float(np.percentile(step_seconds or [0.0], share)) * 1000
            for share in (50, 95, 99)
        },
        "learning_rate": last_rate,
    }


def _follow_requests(context: LoopContext, state: TrainState, requests: float) -> None:
    """Stop, or signal that ranks change, where a rank asked for it; all call this after a step."""
    if requests % _CHANGE >= 1:
        _stop_for_preemption(context, state)
    if requests >= _CHANGE:
        context.checkpoint_policy.on_ranks_change(state, context.train.steps)
        raise RanksChangeError


def _stop_for_preemption(context: LoopContext, state: TrainState) -> None:
    """Write a last checkpoint; all ranks call this after the same step."""
    context.checkpoint_policy.write_last(state, context.train.steps)
    number = state.epoch * context.train.steps + state.step
    raise PreemptedError(f"asked to stop; a checkpoint was written after step {number}")


def compute_epoch_loss(losses: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted mean loss of an epoch's rows.

    Args:
        losses: mean of each step's rows, (steps,).
        weights: sum of the weights of each step's rows, (steps,).

    Raises:
        TrainError: all weights are 0.
    """
    if not weights.any():
        raise TrainError(
            "every row of the train split has sample weight 0, so there is nothing to learn from; "
            "correct label.sample_weight or label.class_weight, and prepare the dataset again"
        )
    return float(np.average(losses, weights=weights))


def _check_loss(loss: float, epoch: int, step: int, settings: s.Train) -> None:
    """Raise `TrainError` where the loss is not finite."""
    if not np.isfinite(loss):
        raise TrainError(
            f"the loss is {loss} in epoch {epoch + 1}, by step {step}; {suggest_fixes(settings)}"
        )
