"""The training loop of one rank: epochs over the stream, validation, best weights, early stop.

Every decision is taken on rank 0's numbers and broadcast, so that ranks never part ways.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from pipelines.distributed.collectives import Collectives
from pipelines.errors import TrainError
from pipelines.progress import Progress, Report
from pipelines.stream.dataset import tf_batches
from pipelines.stream.split_stream import SplitStream
from pipelines.train.early_stopping import BestEpoch
from pipelines.train.step import Step
from pipelines.train.validation import validate
from pipelines.transform.spec import LabelSpec

# Shortest time between two progress reports, seconds.
_REPORT_EVERY = 0.5


@dataclass
class Outcome:
    """What the loop leaves; the model holds the weights of the best epoch.

    Attributes:
        metrics: of the best epoch, `train_…` and `val_…`.
        epochs: epochs that were run.
        best_epoch: counted from 0.
        rows_per_second: median over epochs, all ranks together.
        input_wait_share: share of training time spent waiting for the next batch, this rank.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    epochs: int = 0
    best_epoch: int = -1
    rows_per_second: float = 0.0
    input_wait_share: float = 0.0


def run_epochs(
    model: keras.Model,
    step: Step,
    train: SplitStream,
    validation: SplitStream | None,
    *,
    epochs: int,
    best: BestEpoch,
    label: LabelSpec,
    collectives: Collectives,
    report: Report,
    log: Callable[[Mapping[str, float], int], None],
) -> Outcome:
    """Train for at most `epochs` epochs.

    Args:
        model: trained in place.
        step: one training step (`step.make_train_step`).
        train, validation: this rank's streams; `None` where there is no validation split.
        epochs: upper limit.
        best: early stopping; ignored without a validation split.
        label: what the label means.
        collectives: the ranks.
        report: told of progress.
        log: called with an epoch's metrics and number on every rank.

    Raises:
        TrainError: the loss is not finite, or no row of an epoch weighs anything.
        StreamError: rows delivered differ from the plan.
    """
    outcome = Outcome()
    kept: list[np.ndarray] | None = None
    rates, waited, worked = [], 0.0, 0.0
    batches = tf_batches(train, range(epochs))  # the next epoch is read during validation
    for epoch in range(epochs):
        loss, seconds, wait = _train_epoch(step, batches, train.steps, epoch, epochs, report)
        rates.append(train.rows / seconds)
        waited, worked = waited + wait, worked + seconds
        metrics = {
            "train_loss": loss,
            "rows_per_second": train.rows / seconds,
            "input_wait_share": wait / seconds,
        }
        if validation is not None:
            found = validate(model, validation, collectives, label)
            metrics |= {f"val_{name}": value for name, value in found.items()}
        metrics = collectives.broadcast_object(metrics)
        log(metrics, epoch)
        outcome.epochs = epoch + 1
        if validation is None or best.improved(_followed(metrics, best), epoch):
            outcome.metrics, outcome.best_epoch = metrics, epoch
            kept = [np.array(v) for v in model.weights]
        elif best.should_stop(epoch):
            break
    if kept is not None and outcome.best_epoch != outcome.epochs - 1:
        for variable, value_ in zip(model.weights, kept, strict=True):
            variable.assign(value_)
    outcome.rows_per_second = float(np.median(rates))
    outcome.input_wait_share = waited / worked
    return outcome


def _followed(metrics: Mapping[str, float], best: BestEpoch) -> float:
    """The validation value that decides which epoch is best."""
    value = metrics.get(f"val_{best.metric}")
    if value is None:
        raise TrainError(
            f"train.early_stopping.metric is {best.metric}, which is not defined on a validation "
            "split with labels of one class only; follow the loss, or give the split more keys"
        )
    return value


def _train_epoch(
    step: Step,
    batches: Iterator[dict[str, tf.Tensor]],
    steps: int,
    epoch: int,
    epochs: int,
    report: Report,
) -> tuple[float, float, float]:
    """Mean loss of the epoch's rows by weight, seconds taken, seconds spent waiting for input."""
    losses, weights = [], []
    wait = 0.0
    started = reported = time.monotonic()
    for number in range(steps):
        asked = time.monotonic()
        batch = next(batches, None)
        wait += time.monotonic() - asked
        if batch is None:
            break
        loss, weight = step(batch)
        losses.append(loss)
        weights.append(weight)
        now = time.monotonic()
        if now - reported >= _REPORT_EVERY or number + 1 == steps:
            reported = now
            _check(float(loss), epoch, number)
            report(Progress(f"epoch {epoch + 1} of {epochs}", number + 1, steps))
    if len(losses) != steps:
        raise TrainError(f"epoch {epoch}: {len(losses)} steps were run, {steps} planned")
    seconds = time.monotonic() - started
    values = np.array([float(loss) for loss in losses])
    _check(float(values.sum()), epoch, steps)
    return epoch_loss(values, np.array([float(weight) for weight in weights])), seconds, wait


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
            f"the loss is {loss} in epoch {epoch + 1}, by step {step + 1}; lower "
            "train.optimizer.learning_rate, and look for extreme values in the features"
        )
