"""Check a loss of the user's own on a first batch, before the first epoch is trained with it."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain

import keras
import numpy as np
import tensorflow as tf

from headrace.errors import HeadraceError, TrainError
from headrace.labels.kind import RowLosses
from headrace.labels.losses.custom import OwnLoss
from headrace.labels.spec import LabelSpec
from headrace.models.build import build_logits_model
from headrace.train.step_options import StepOptions


def check_first_batch(
    label: LabelSpec,
    options: StepOptions,
    model: keras.Model,
    batches: Iterator[dict[str, tf.Tensor]],
) -> Iterator[dict[str, tf.Tensor]]:
    """Check a loss of the user's own on the first batch, and return all batches.

    Args:
        label: with the loss; any other than the user's own is known to be right.
        options: of the step, with the function that computes the loss.
        model: returned by `models.build.build_model`.
        batches: of the train split.

    Raises:
        TrainError: see `check_loss`.
    """
    if not isinstance(label.loss, OwnLoss) or options.compute_row_losses is None:
        return batches
    first = next(batches, None)
    if first is None:
        return iter(())
    check_loss(label.loss.function, options.compute_row_losses, model, first)
    return chain([first], batches)


def check_loss(
    name: str, compute_row_losses: RowLosses, model: keras.Model, batch: Mapping[str, tf.Tensor]
) -> None:
    """Check that a loss is one number per row, of this row alone, finite and differentiable.

    It is called in a graph, as in training. Padding rows are left out.

    Args:
        name: of the function, for errors.
        compute_row_losses: from labels and logits, (batch, …), to losses.
        model: returned by `models.build.build_model`.
        batch: a batch of the train split.

    Raises:
        TrainError: it is not.
    """
    is_row = np.asarray(batch["weight"]) > 0
    rows = int(is_row.sum())
    if not rows:
        return
    network = build_logits_model(model)
    inputs = {tensor.name: batch[tensor.name] for tensor in model.inputs}
    logits = tf.boolean_mask(tf.cast(network(inputs, training=False), tf.float32), is_row)
    labels = tf.boolean_mask(batch["label"], is_row)

    @tf.function(autograph=False, reduce_retracing=True)
    def compute(labels: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            losses = compute_row_losses(labels, logits)
        return losses, tape.gradient(losses, logits)

    def fail(message: str) -> TrainError:
        return TrainError(f"train.loss.function: {name} {message} (found before the first epoch)")

    try:
        losses, gradient = compute(labels, logits)
        half = -(-rows // 2)
        losses_of_half, _ = compute(labels[:half], logits[:half])
    except HeadraceError:
        raise
    except Exception as error:  # whatever the user's code raises
        text = (str(error).strip().splitlines() or [""])[0][:300]
        raise fail(
            f"failed with {type(error).__name__}: {text}; it gets tensors labels, outputs of "
            f"shapes {tuple(labels.shape)}, {tuple(logits.shape)}, and is called in a graph, where "
            "Python's if and float() do not work on them"
        ) from error
    if losses.shape != (rows,):
        raise fail(
            f"returned shape {tuple(losses.shape)} for {rows} rows, expected ({rows},): a loss per "
            "row, which Headrace multiplies by the rows' weights; take no mean over the batch"
        )
    _check_finite(losses, f"losses of {rows} rows", fail)
    if not np.allclose(losses[:half], losses_of_half, rtol=1e-3, atol=1e-6):
        raise fail(
            "gives a row another loss where fewer rows are beside it; the loss of a row must not "
            "depend on the other rows of a batch, which differ with ranks and padding"
        )
    if gradient is None or not np.any(gradient):
        raise fail(
            "has no gradient by the outputs, so nothing can be learned from it; use functions that "
            "are differentiable (no rounding, comparison or cast to integers)"
        )
    _check_finite(gradient, "derivatives by the outputs", fail)


def _check_finite(values: tf.Tensor, words: str, fail: Callable[[str], TrainError]) -> None:
    bad = int(np.sum(~np.isfinite(values)))
    if bad:
        raise fail(
            f"gives {bad:,} {words} that are not finite; keep logarithms, roots and divisors from 0"
        )
