"""Make one training step, exact over ranks: forward pass, loss, gradients, allreduce, update.

Every rank sums its weighted losses, gradients and weights are summed over ranks in one grouped
allreduce, those of large embedding tables row by row (`gradient_sums`), and the division by the
global weight comes last. The update equals that of one process with the whole global batch: padding
rows have weight 0 and need no special case. Clipping, loss scaling and the optimizer see the global
gradient, which is the same on every rank; so are all their decisions. The result is the mean loss
over the global batch.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives
from headrace.labels.kinds import find_label_kind
from headrace.models.build import build_logits_model
from headrace.models.gathered import count_calls, get_first_dimension
from headrace.train.batch_norm import GlobalMoments
from headrace.train.gradient_sums import (
    Accumulation,
    GradientSums,
    fill_up_rows,
    sum_over_ranks,
)
from headrace.train.row_gradients import RowGradient, sum_by_id, sum_within_shards
from headrace.train.row_optimizer import AnyOptimizer, RowOptimizer, get_rate_variable
from headrace.train.sharded_tables import ShardedTable, watch_lookups
from headrace.train.step_options import StepOptions
from headrace.train.table_meter import TableMeter
from headrace.train.tables import TableTraining

# Most random numbers that a dropout layer draws in one step.
_DRAWS = 1024


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


class _WholeTablesError(Exception):
    """The signal that tables are read as a whole too, so that their gradients are no lists of rows.

    Attributes:
        positions: of their variables.
    """

    def __init__(self, positions: Sequence[int]) -> None:
        super().__init__()
        self.positions = positions


class TrainStep:
    """A compiled training step of a model and an optimizer.

    Attributes:
        updates: int64 variable, the number of updates so far. With asynchronous execution, it
            shows how many updates the device has finished.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: AnyOptimizer,
        collectives: Collectives,
        label_kind: str,
        options: StepOptions | None = None,
        tables: Sequence[TableTraining] = (),
    ) -> None:
        """
        Args:
            model: returned by `models.build.build_model`.
            optimizer: built for the model's trainable variables.
            collectives: sums over ranks.
            label_kind: see `LabelSpec.kind`; it decides the loss where the options have none.
            options: the rest.
            tables: those of `choose_table_training`.
        """
        self._model, self._optimizer, self._collectives = model, optimizer, collectives
        options = self._options = options or StepOptions()
        build = options.retrieval.build_network if options.retrieval else build_logits_model
        self._network = build(model)
        self._compute_row_losses = options.compute_row_losses or find_label_kind(
            label_kind
        ).make_row_losses(options.label_smoothing)
        self._names = [tensor.name for tensor in model.inputs]
        trainable = model.trainable_variables
        sparse = {id(table.variable): table for table in tables if table.is_sparse}
        # Position of each table whose gradient is a list of rows -> the table.
        self._sparse = {i: sparse[id(v)] for i, v in enumerate(trainable) if id(v) in sparse}
        self._variables = [v._value for v in trainable]
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
        self._prepare_sums()

    def _prepare_sums(self) -> None:
        """Make what sums gradients, and the step to be traced."""
        options, tables = self._options, list(self._sparse.values())
        self._shards = [table.shard for table in tables]
        self._dense_variables = [v for i, v in enumerate(self._variables) if i not in self._sparse]
        self._meter = TableMeter(tables, self._collectives, options.compression)
        self._accumulation = None
        if options.accumulate > 1:
            widths = [table.layer.output_dim for table in tables]
            self._accumulation = Accumulation(self._dense_variables, widths, options.shards)
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
        arguments = (batch, *numbers, tf.constant(request, tf.float32), update)
        try:
            result = StepResult(*self._compiled(*arguments))
        except _WholeTablesError as error:  # in the trace of the first step
            self._sparse = {i: x for i, x in self._sparse.items() if i not in error.positions}
            self._prepare_sums()
            result = StepResult(*self._compiled(*arguments))
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
            gradients = [tf.zeros_like(variable) for variable in self._dense_variables]
            zero = tf.constant(0.0)
            zeros = GradientSums(gradients, [], zero, zero)
            compression = self._options.compression
            sum_zeros = tf.function(
                lambda: sum_over_ranks(zeros, zero, self._collectives, compression)[0],
                autograph=False,
            )
            seconds = []
            for _ in range(6):  # the first one compiles
                started_at = time.monotonic()
                float(sum_zeros()[-1])
                seconds.append(time.monotonic() - started_at)
            self._allreduce_seconds = float(np.median(seconds[1:]))
        return self._allreduce_seconds

    def describe_tables(self) -> dict[str, float]:
        """Return rows and bytes of sparse tables per update; see `TableMeter`."""
        return self._meter.describe_updates()

    def measure_table_seconds(self) -> dict[str, float]:
        """Measure lookup, exchange and update of sparse tables alone; see `TableMeter`."""
        return self._meter.measure_seconds(self._optimizer)

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
        accumulation, collectives = self._accumulation, self._collectives
        if accumulation:
            sums = accumulation.add_batch(sums)
        if not update:
            return tf.constant(0.0), tf.constant(0.0), tf.constant(0.0)
        if collectives.size > 1:
            sums = fill_up_rows(sums, self._shards)
        (*dense, loss, weight, requests), gathered = sum_over_ranks(
            sums, request, collectives, self._options.compression, self._shards
        )
        touched = [
            _sum_touched(*rows, shard) for rows, shard in zip(gathered, self._shards, strict=True)
        ]
        gradients = self._divide_by_weight(dense, touched, weight)
        # Counters do not depend on gradients: without this, they would count an update whose sum
        # failed because a rank was lost.
        with tf.control_dependencies([weight, *tf.nest.flatten(gradients, expand_composites=True)]):
            self._rate.assign(rate)
            self._optimizer.apply(gradients, self._model.trainable_variables)
            self.updates.assign_add(1)
            self._meter.count_update(sums.rows, touched)
            if accumulation:
                accumulation.reset()
        return tf.math.divide_no_nan(loss, weight), weight, requests

    def _divide_by_weight(
        self,
        dense: Sequence[tf.Tensor],
        touched: Sequence[tuple[tf.Tensor, tf.Tensor]],
        weight: tf.Tensor,
    ) -> list[tf.Tensor | tf.IndexedSlices]:
        """Return the gradient of the mean loss for every trainable variable, in their order."""
        gradients: dict[int, tf.Tensor | tf.IndexedSlices] = {}
        is_by_row = isinstance(self._optimizer, RowOptimizer)
        for position, (ids, rows) in zip(self._sparse, touched, strict=True):
            shape = tf.constant(self._variables[position].shape.as_list(), tf.int64)
            slices = tf.IndexedSlices(tf.math.divide_no_nan(rows, weight), ids, shape)
            gradients[position] = slices if is_by_row else tf.convert_to_tensor(slices)
        rest = iter(dense)
        return [
            gradients[i] if i in gradients else tf.math.divide_no_nan(next(rest), weight)
            for i in range(len(self._variables))
        ]

    def _compute_gradients(self, batch: Mapping[str, tf.Tensor], number: tf.Tensor) -> GradientSums:
        """Return gradients, loss and weight, summed over this rank's rows."""
        for table in self._sparse.values():
            if not table.shard:
                count_calls(table.layer)
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
        retrieval = self._options.retrieval
        if retrieval:
            weights = weights * retrieval.select_positives(batch)
        with tf.GradientTape() as tape, watch_lookups(self._shards, tape):
            with self._moments.count_rows(batch["weight"]):
                outputs = self._network({name: batch[name] for name in self._names}, training=True)
            if retrieval:
                losses = retrieval.compute_row_losses(batch, outputs, self._collectives)
            else:
                losses = self._compute_losses(batch, tf.cast(outputs, tf.float32))
            weight = tf.reduce_sum(weights)
            loss = tf.reduce_sum(weights * losses)
            # Multiplied by the rank's weight: the division by the global weight leaves it once.
            penalty = tf.add_n([*self._network.losses, tf.constant(0.0)])
            objective = self._optimizer.scale_loss(loss + weight * penalty)
        gradients = self._take_gradients(tape, objective)
        whole = [i for i in self._sparse if not isinstance(gradients[i], tf.IndexedSlices)]
        if whole:
            raise _WholeTablesError(whole)
        dense = [
            tf.convert_to_tensor(gradient)
            for position, gradient in enumerate(gradients)
            if position not in self._sparse
        ]
        batch_rows = tf.size(batch["weight"])
        rows = [
            self._sum_rows(gradients[i], table, batch_rows) for i, table in self._sparse.items()
        ]
        self._meter.note_lookups([gradients[i].indices for i in self._sparse])
        return GradientSums(dense, rows, loss, weight)

    def _take_gradients(
        self, tape: tf.GradientTape, objective: tf.Tensor
    ) -> list[tf.Tensor | tf.IndexedSlices]:
        """Return the gradient of every trainable variable; of a sharded table by global id."""
        shards = {i: t.shard for i, t in self._sparse.items() if t.shard}
        sources: list[Any] = [
            [lookup.rows for lookup in shards[i].looked_up] if i in shards else variable
            for i, variable in enumerate(self._variables)
        ]
        gradients = tape.gradient(objective, sources, unconnected_gradients="zero")
        for i, shard in shards.items():
            ids = tf.concat([lookup.ids for lookup in shard.looked_up], 0)
            gradients[i] = tf.IndexedSlices(tf.concat(gradients[i], 0), ids)
        return list(gradients)

    def _compute_losses(self, batch: Mapping[str, tf.Tensor], logits: tf.Tensor) -> tf.Tensor:
        """Return the loss of each row by its own logits, float32 (batch,)."""
        if self._options.hides_padding:
            batch, logits = _hide_padding(batch, logits)
        losses = self._compute_row_losses(batch["label"], logits)
        if "mixup_weight" in batch:
            mixup_weight = batch["mixup_weight"]
            mixed = self._compute_row_losses(batch["mixup_label"], logits)
            losses = mixup_weight * losses + (1 - mixup_weight) * mixed
        if self._options.hides_padding:
            losses = tf.where(batch["weight"] > 0, losses, tf.zeros_like(losses))
        return losses

    def _sum_rows(
        self, gradient: tf.IndexedSlices, table: TableTraining, batch_rows: tf.Tensor
    ) -> RowGradient:
        """Return the gradient of a table, summed within the shards of this rank."""
        layer = table.layer
        # What a layer looks up in several places lies place after place, and not shard after shard.
        if table.shard:
            is_batch: tf.Tensor | bool = False
            if len(table.shard.looked_up) == 1:
                is_batch = tf.equal(table.shard.looked_up[0].first_dimension, batch_rows)
        else:
            first = get_first_dimension(layer)
            has_shards = count_calls(layer) == 1 and first is not None
            is_batch = tf.equal(first, batch_rows) if has_shards else False
        rows = tf.cast(tf.reshape(gradient.values, [-1, layer.output_dim]), tf.float32)
        ids = tf.reshape(gradient.indices, [-1])
        return sum_within_shards(ids, rows, self._options.shards, is_batch)


def _sum_touched(
    ids: tf.Tensor, rows: tf.Tensor, shard: ShardedTable | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sum the rows of each id; of a sharded table by position among this rank's own."""
    ids, rows = sum_by_id(ids, rows)
    return (shard.to_local(ids) if shard else ids), rows


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
