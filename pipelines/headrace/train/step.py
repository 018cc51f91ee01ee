"""Make one training step, exact over ranks: forward pass, loss, gradients, allreduce, update.

Every rank sums its weighted losses, gradients and weights are summed over ranks in one grouped
allreduce, and the division by the global weight comes last. The update equals that of one process
with the whole global batch: padding rows have weight 0 and need no special case. Clipping, loss
scaling and the optimizer see the global gradient, which is the same on every rank; so are all their
decisions. The result is the mean loss over the global batch.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives
from headrace.labels.kind import RowLosses
from headrace.labels.kinds import find_label_kind
from headrace.models.build import build_logits_model
from headrace.recipe import Recipe
from headrace.train.augment import Augmentation
from headrace.train.batch_norm import GlobalMoments
from headrace.train.optimizer import get_rate_variable
from headrace.transform.spec import TransformSpec

# Most random numbers that a dropout layer draws in one step.
_DRAWS = 1024
# Gradients of 16 bits are scaled to numbers up to two to this.
_HALF_EXPONENT = 15.0


@dataclass(frozen=True)
class StepOptions:
    """The options of a step beside loss, gradient and update.

    Attributes:
        label_smoothing: see `LabelKind.make_row_losses`.
        compute_row_losses: loss under `train.loss`, smoothed; None for that of the label's kind.
        hides_padding: whether the loss may be undefined for the zeros of padding rows.
        accumulate: number of batches of an update.
        compression: `none`, `fp16` or `bf16`, for gradients that travel between ranks.
        augmentation: applied to the rows; None for none.
        seed: seed of dropout, with which the rank is mixed.
    """

    label_smoothing: float = 0.0
    compute_row_losses: RowLosses | None = None
    hides_padding: bool = False
    accumulate: int = 1
    compression: str = "none"
    augmentation: Augmentation | None = None
    seed: int = 0


@dataclass(frozen=True)
class StepResult:
    """The scalars of a step, which are the same on every rank; all 0 where it made no update.

    Attributes:
        loss: weighted mean over the batches since the last update.
        weight: sum of the weights of these batches.
        requests: sum over ranks of their stop and regroup requests, see `loop.py`.
    """

    loss: tf.Tensor
    weight: tf.Tensor
    requests: tf.Tensor


class TrainStep:
    """A compiled training step of a model and an optimizer.

    Attributes:
        updates: int64 variable, the number of updates so far. With asynchronous execution, it
            shows how many updates the device has finished.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        collectives: Collectives,
        label_kind: str,
        options: StepOptions = StepOptions(),
    ) -> None:
        """
        Args:
            model: returned by `models.build.build_model`.
            optimizer: built for the model's trainable variables.
            collectives: sums over ranks.
            label_kind: see `LabelSpec.kind`; it decides the loss where the options have none.
            options: the rest.
        """
        self._model, self._optimizer, self._collectives = model, optimizer, collectives
        self._options = options
        self._network = build_logits_model(model)
        self._compute_row_losses = options.compute_row_losses or find_label_kind(
            label_kind
        ).make_row_losses(options.label_smoothing)
        self._names = [tensor.name for tensor in model.inputs]
        self._variables = [v.value for v in model.trainable_variables]
        self._moments = GlobalMoments(self._network, collectives)
        self._generators = _list_seed_generators(model)
        self._rate = get_rate_variable(optimizer)
        self._seed = (options.seed * 65_537 + collectives.rank) % 2**31
        self.updates = tf.Variable(0, dtype=tf.int64, trainable=False)
        # Variables that a forward pass changes (moving statistics), and in elastic runs their
        # values after the last update.
        self._forward_state = [v for v in model.non_trainable_variables if v.dtype == "float32"]
        self._forward_state_before: list[np.ndarray] = []
        self._since_update = 0
        self._allreduce_seconds: float | None = None
        # Gradients, loss and weight since the last update.
        self._accumulated: list[tf.Variable] = []
        if options.accumulate > 1:
            zeros = [tf.zeros_like(v) for v in self._variables] + [tf.constant(0.0)] * 2
            self._accumulated = [tf.Variable(zero, trainable=False) for zero in zeros]
        # Without AutoGraph, which would convert Keras and Horovod for nothing: 1.7 of 3.3 s.
        self._compiled = tf.function(self._run_step, reduce_retracing=True, autograph=False)

    def __call__(
        self,
        batch: Mapping[str, tf.Tensor],
        number: int = 0,
        *,
        rate: float,
        request: float = 0.0,
        update: bool = True,
    ) -> StepResult:
        """Compute loss and gradients of a batch, and make an update where one is due.

        Args:
            batch: this rank's part of a global batch. A row's weight is `weight`, times
                `sample_weight` where the batch has it.
            number: number of the step, from 0 over all epochs.
            rate: the learning rate.
            request: encodes the rank's stop and regroup requests; summed over ranks, see `loop.py`.
            update: whether to make an update from all batches since the last one.
        """
        numbers = (tf.constant(number, tf.int32), tf.constant(rate, tf.float32))
        if self._collectives.is_elastic and not self._since_update:
            self._forward_state_before = [np.array(variable) for variable in self._forward_state]
        self._since_update += 1
        result = StepResult(
            *self._compiled(batch, *numbers, tf.constant(request, tf.float32), update)
        )
        if update:
            self._since_update = 0
        return result

    def measure_allreduce_seconds(self) -> float:
        """Measure how long the sum of gradients over ranks takes when no rank is late.

        All ranks call this together. It is measured once: the median of five sums.
        """
        if self._collectives.size == 1:
            return 0.0
        if self._allreduce_seconds is None:
            gradients = [tf.zeros_like(variable) for variable in self._variables]
            zeros = [*gradients, *[tf.constant(0.0)] * 2]
            request = tf.constant(0.0)
            sum_zeros = tf.function(lambda: self._sum_over_ranks(zeros, request), autograph=False)
            seconds = []
            for _ in range(6):  # the first one compiles
                started_at = time.monotonic()
                float(sum_zeros()[-1])
                seconds.append(time.monotonic() - started_at)
            self._allreduce_seconds = float(np.median(seconds[1:]))
        return self._allreduce_seconds

    def undo_batches(self) -> None:
        """Restore what batches since the last update changed, after a step failed half-way."""
        if self._since_update:
            for variable, value in zip(
                self._forward_state, self._forward_state_before, strict=True
            ):
                variable.assign(value)

    def _run_step(
        self,
        batch: Mapping[str, tf.Tensor],
        number: tf.Tensor,
        rate: tf.Tensor,
        request: tf.Tensor,
        update: bool,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        sums = self._compute_gradients(batch, number)
        if self._accumulated:
            pairs = zip(self._accumulated, sums, strict=True)
            sums = [tf.convert_to_tensor(total.assign_add(part)) for total, part in pairs]
        if not update:
            return tf.constant(0.0), tf.constant(0.0), tf.constant(0.0)
        *gradients, loss, weight, requests = self._sum_over_ranks(sums, request)
        gradients = [tf.math.divide_no_nan(gradient, weight) for gradient in gradients]
        # Counters do not depend on gradients: without this, they would count an update whose sum
        # failed because a rank was lost.
        with tf.control_dependencies([weight, *gradients]):
            self._rate.assign(rate)
            self._optimizer.apply(gradients, self._model.trainable_variables)
            self.updates.assign_add(1)
            for total in self._accumulated:
                total.assign(tf.zeros_like(total))
        return tf.math.divide_no_nan(loss, weight), weight, requests

    def _compute_gradients(
        self, batch: Mapping[str, tf.Tensor], number: tf.Tensor
    ) -> list[tf.Tensor]:
        """Return gradients, loss and weight, summed over this rank's rows."""
        for position, generator in enumerate(self._generators):
            draws = tf.cast(number, tf.int64) * _DRAWS
            state = tf.stack([tf.constant(self._seed ^ position, tf.int64), draws])
            generator.state.assign(tf.cast(state, generator.state.dtype))
        augmentation = self._options.augmentation
        if augmentation is not None and augmentation.is_active:
            batch = augmentation(batch, number)
        weights = batch["weight"]
        if "sample_weight" in batch:
            weights = weights * batch["sample_weight"]
        with tf.GradientTape() as tape:
            with self._moments.count_rows(batch["weight"]):
                logits = self._network({name: batch[name] for name in self._names}, training=True)
            logits = tf.cast(logits, tf.float32)
            if self._options.hides_padding:
                batch, logits = _hide_padding(batch, logits)
            losses = self._compute_row_losses(batch["label"], logits)
            if "mixup_weight" in batch:
                mixup_weight = batch["mixup_weight"]
                mixed = self._compute_row_losses(batch["mixup_label"], logits)
                losses = mixup_weight * losses + (1 - mixup_weight) * mixed
            if self._options.hides_padding:
                losses = tf.where(batch["weight"] > 0, losses, tf.zeros_like(losses))
            weight = tf.reduce_sum(weights)
            loss = tf.reduce_sum(weights * losses)
            # Multiplied by the rank's weight: the division by the global weight leaves it once.
            penalty = tf.add_n([*self._network.losses, tf.constant(0.0)])
            objective = self._optimizer.scale_loss(loss + weight * penalty)
        gradients = tape.gradient(objective, self._variables, unconnected_gradients="zero")
        return [*(tf.convert_to_tensor(gradient) for gradient in gradients), loss, weight]

    def _sum_over_ranks(self, local_sums: list[tf.Tensor], request: tf.Tensor) -> list[tf.Tensor]:
        """Return gradients, loss, weight and request, summed over all ranks."""
        compression = self._options.compression
        if compression == "none" or self._collectives.size == 1:
            return self._collectives.allreduce([*local_sums, request])
        *gradients, loss, weight = local_sums
        addends = [tf.cast(gradient, tf.float32) for gradient in gradients]
        if compression == "bf16":
            sums = self._collectives.allreduce_bfloat16(addends)
            scalars = self._collectives.allreduce([loss, weight, request])
        else:
            # No sum is larger than that of the ranks' largest numbers: by it each gradient is
            # brought into the range of 16 bits, by a power of two, which rounds nothing.
            largest = tf.stack([tf.reduce_max(tf.abs(addend)) for addend in addends])
            *scalars, bounds = self._collectives.allreduce([loss, weight, request, largest])
            scales = tf.unstack(_choose_scales(bounds))
            with tf.control_dependencies([bounds]):  # the same order on every rank
                halves = [
                    tf.cast(addend * scale, tf.float16)
                    for addend, scale in zip(addends, scales, strict=True)
                ]
                halves = self._collectives.allreduce(halves)
            sums = [
                tf.cast(half, tf.float32) / scale
                for half, scale in zip(halves, scales, strict=True)
            ]
        return [
            *(tf.cast(total, v.dtype) for total, v in zip(sums, self._variables, strict=True)),
            *scalars,
        ]


def _choose_scales(bounds: tf.Tensor) -> tf.Tensor:
    """Return powers of two that bring numbers up to these bounds, float32, below 2**15.

    The largest of 16 bits is 65,504: sums of rounded numbers are below it, too. What is not finite
    stays so.
    """
    exponents = _HALF_EXPONENT - tf.math.ceil(tf.math.log(bounds) / tf.math.log(2.0))
    exponents = tf.clip_by_value(exponents, -115.0, 115.0)
    return tf.where(bounds > 0, tf.pow(2.0, exponents), tf.ones_like(bounds))


def _hide_padding(
    batch: Mapping[str, tf.Tensor], logits: tf.Tensor
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Replace labels and logits of padding rows by those of the first row that is none.

    A weight of 0 does not help against a loss of infinity, nor against its gradient. Of a batch of
    padding alone the logits get no gradient, which would be NaN.
    """
    is_row = batch["weight"] > 0
    first = tf.argmax(tf.cast(is_row, tf.int32), output_type=tf.int32)
    rows = tf.where(is_row, tf.range(tf.size(is_row)), first)
    logits = tf.where(tf.reduce_any(is_row), logits, tf.stop_gradient(logits))
    names = ("label", "mixup_label")
    labels = {name: tf.gather(batch[name], rows) for name in names if name in batch}
    return {**batch, **labels}, tf.gather(logits, rows)


def _list_seed_generators(model: keras.Model) -> list[keras.random.SeedGenerator]:
    """List the generators of dropout layers; every step sets their state, so none is saved."""
    return [
        layer.seed_generator
        for layer in model._flatten_layers(include_self=False)
        if isinstance(getattr(layer, "seed_generator", None), keras.random.SeedGenerator)
    ]


def make_step_options(recipe: Recipe, spec: TransformSpec, collectives: Collectives) -> StepOptions:
    """Make the options of a rank's steps from the recipe."""
    settings = recipe.train
    return StepOptions(
        label_smoothing=settings.label_smoothing,
        compute_row_losses=spec.label.make_row_losses(settings.label_smoothing),
        hides_padding=spec.label.loss is not None and spec.label.loss.may_be_undefined,
        accumulate=settings.accumulate,
        compression=settings.compression,
        augmentation=Augmentation(
            settings.augment,
            images=tuple(f.name for f in spec.select_features("image")),
            seed=settings.seed,
            rank=collectives.rank,
            size=collectives.size,
        ),
        seed=settings.seed,
    )
