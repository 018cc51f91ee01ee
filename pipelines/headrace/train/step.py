"""One training step, exact over ranks.

Every rank sums its weighted losses, gradients and weights are summed over ranks in one grouped
allreduce, and the division by the global weight comes last. The update is that of one process with
the whole global batch: padding rows weigh nothing and need no care. Clipping, loss scaling and the
optimizer see the global gradient, which is the same on every rank; so are all their decisions.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives
from headrace.models.build import logits_of
from headrace.recipe import Recipe
from headrace.train.augment import Augmentation
from headrace.train.batch_norm import GlobalMoments
from headrace.train.losses import row_losses
from headrace.train.optimizer import rate_of
from headrace.transform.spec import ImageFeature, TransformSpec

# Random numbers that a dropout layer may draw within a step.
_DRAWS = 1024


@dataclass(frozen=True)
class StepOptions:
    """What a step does beside loss, gradient and update.

    Attributes:
        label_smoothing: see `losses.row_losses`.
        accumulate: batches that make one update.
        compression: `none`, `fp16` or `bf16`, of gradients on their way between ranks.
        augmentation: of the rows.
        seed: of dropout; ranks have different ones.
    """

    label_smoothing: float = 0.0
    accumulate: int = 1
    compression: str = "none"
    augmentation: Augmentation | None = None
    seed: int = 0


@dataclass(frozen=True)
class StepResult:
    """Scalars that are the same on every rank.

    Attributes:
        loss: mean over the weight of the batches since the last update; 0 where there was none now.
        weight: of these batches; 0 likewise.
        flags: sum of the ranks' flags; 0 likewise.
    """

    loss: tf.Tensor
    weight: tf.Tensor
    flags: tf.Tensor


class TrainStep:
    """A compiled step over a model, an optimizer, and what else decides an update."""

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
            model: of `models.build.build_model`.
            optimizer: built for the model's trainable variables.
            collectives: sums over ranks.
            label_kind: see `LabelSpec.kind`; says which loss.
            options: the rest.
        """
        self._model, self._optimizer, self._collectives = model, optimizer, collectives
        self._options = options
        self._network = logits_of(model)
        self._losses_of = row_losses(label_kind, options.label_smoothing)
        self._names = [tensor.name for tensor in model.inputs]
        self._variables = [v.value for v in model.trainable_variables]
        self._moments = GlobalMoments(self._network, collectives)
        self._generators = _generators(model)
        self._rate = rate_of(optimizer)
        self._seed = (options.seed * 65_537 + collectives.rank) % 2**31
        self.updates = tf.Variable(0, dtype=tf.int64, trainable=False)
        """How many were made; on a device that runs behind, what tells how far it came."""
        # What a forward pass changes, as it was after the last update; of elastic runs.
        self._moving = [v for v in model.non_trainable_variables if v.dtype == "float32"]
        self._before: list[np.ndarray] = []
        self._since_update = 0
        self._allreduce_seconds: float | None = None
        # Gradients, loss and weight since the last update.
        self._gathered: list[tf.Variable] = []
        if options.accumulate > 1:
            like = [tf.zeros_like(v) for v in self._variables] + [tf.constant(0.0)] * 2
            self._gathered = [tf.Variable(zero, trainable=False) for zero in like]
        # Without AutoGraph, which would convert Keras and Horovod for nothing, in 1.7 of 3.3 s.
        self._compiled = tf.function(self._step, reduce_retracing=True, autograph=False)

    def __call__(
        self,
        batch: Mapping[str, tf.Tensor],
        number: int = 0,
        *,
        rate: float,
        flag: float = 0.0,
        update: bool = True,
    ) -> StepResult:
        """Forward, loss, gradients, and an update.

        Args:
            batch: this rank's part of a global batch. A row weighs `weight`, times `sample_weight`
                where the batch has it.
            number: of the step, over all epochs.
            rate: the learning rate.
            flag: what this rank wants all to know.
            update: whether the batches since the last update now make one.
        """
        numbers = (tf.constant(number, tf.int32), tf.constant(rate, tf.float32))
        if self._collectives.elastic and not self._since_update:
            self._before = [np.array(variable) for variable in self._moving]
        self._since_update += 1
        found = StepResult(*self._compiled(batch, *numbers, tf.constant(flag, tf.float32), update))
        if update:
            self._since_update = 0
        return found

    def allreduce_seconds(self) -> float:
        """What one sum of the gradients over ranks takes when no rank is late; measured once."""
        if self._collectives.size == 1:
            return 0.0
        if self._allreduce_seconds is None:
            sizes = [tf.zeros_like(variable) for variable in self._variables]
            zeros = [*sizes, *[tf.constant(0.0)] * 2]
            flag = tf.constant(0.0)
            summed = tf.function(lambda: self._summed(zeros, flag), autograph=False)
            taken = []
            for _ in range(6):  # the first one compiles
                began = time.monotonic()
                float(summed()[-1])
                taken.append(time.monotonic() - began)
            self._allreduce_seconds = float(np.median(taken[1:]))
        return self._allreduce_seconds

    def undo(self) -> None:
        """Take back what batches since the last update left; for a step that failed half-way."""
        if self._since_update:
            for variable, value in zip(self._moving, self._before, strict=True):
                variable.assign(value)

    def _step(
        self,
        batch: Mapping[str, tf.Tensor],
        number: tf.Tensor,
        rate: tf.Tensor,
        flag: tf.Tensor,
        update: bool,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        found = self._local(batch, number)
        if self._gathered:
            pairs = zip(self._gathered, found, strict=True)
            found = [tf.convert_to_tensor(total.assign_add(part)) for total, part in pairs]
        if not update:
            return tf.constant(0.0), tf.constant(0.0), tf.constant(0.0)
        *gradients, loss, weight, flags = self._summed(found, flag)
        gradients = [tf.math.divide_no_nan(gradient, weight) for gradient in gradients]
        # Counters wait for no gradient by themselves: where the sum failed because a rank is lost,
        # they must not say that there was an update.
        with tf.control_dependencies([weight, *gradients]):
            self._rate.assign(rate)
            self._optimizer.apply(gradients, self._model.trainable_variables)
            self.updates.assign_add(1)
            for total in self._gathered:
                total.assign(tf.zeros_like(total))
        return tf.math.divide_no_nan(loss, weight), weight, flags

    def _local(self, batch: Mapping[str, tf.Tensor], number: tf.Tensor) -> list[tf.Tensor]:
        """Gradients, loss and weight, summed over this rank's rows."""
        for place, generator in enumerate(self._generators):
            draws = tf.cast(number, tf.int64) * _DRAWS
            state = tf.stack([tf.constant(self._seed ^ place, tf.int64), draws])
            generator.state.assign(tf.cast(state, generator.state.dtype))
        augmentation = self._options.augmentation
        if augmentation is not None and augmentation.active:
            batch = augmentation(batch, number)
        weights = batch["weight"]
        if "sample_weight" in batch:
            weights = weights * batch["sample_weight"]
        with tf.GradientTape() as tape:
            with self._moments.of_rows(batch["weight"]):
                logits = self._network({name: batch[name] for name in self._names}, training=True)
            logits = tf.cast(logits, tf.float32)
            losses = self._losses_of(batch["label"], logits)
            if "mixed_share" in batch:
                share = batch["mixed_share"]
                mixed = self._losses_of(batch["mixed_with"], logits)
                losses = share * losses + (1 - share) * mixed
            weight = tf.reduce_sum(weights)
            loss = tf.reduce_sum(weights * losses)
            # Times the rank's weight, so that the division by the global weight gives it once.
            penalty = tf.add_n([*self._network.losses, tf.constant(0.0)])
            objective = self._optimizer.scale_loss(loss + weight * penalty)
        found = tape.gradient(objective, self._variables, unconnected_gradients="zero")
        return [*(tf.convert_to_tensor(gradient) for gradient in found), loss, weight]

    def _summed(self, found: list[tf.Tensor], flag: tf.Tensor) -> list[tf.Tensor]:
        """Gradients, loss, weight and flag over all ranks."""
        compression = self._options.compression
        if compression == "none" or self._collectives.size == 1:
            return self._collectives.sum([*found, flag])
        *gradients, loss, weight = found
        if compression == "bf16":
            small = self._collectives.sum_bfloat16([tf.cast(g, tf.float32) for g in gradients])
        else:
            small = self._collectives.sum([tf.cast(g, tf.float16) for g in gradients])
        return [
            *(tf.cast(g, v.dtype) for g, v in zip(small, self._variables, strict=True)),
            *self._collectives.sum([loss, weight, flag]),
        ]


def _generators(model: keras.Model) -> list[keras.random.SeedGenerator]:
    """Of the dropout layers; their state is set at every step, so that no checkpoint needs it."""
    return [
        layer.seed_generator
        for layer in model._flatten_layers(include_self=False)
        if isinstance(getattr(layer, "seed_generator", None), keras.random.SeedGenerator)
    ]


def step_options(recipe: Recipe, spec: TransformSpec, collectives: Collectives) -> StepOptions:
    """What a step does beside loss, gradient and update."""
    settings = recipe.train
    return StepOptions(
        label_smoothing=settings.label_smoothing,
        accumulate=settings.accumulate,
        compression=settings.compression,
        augmentation=Augmentation(
            settings.augment,
            images=tuple(f.name for f in spec.shaped if isinstance(f, ImageFeature)),
            seed=settings.seed,
            rank=collectives.rank,
            size=collectives.size,
        ),
        seed=settings.seed,
    )
