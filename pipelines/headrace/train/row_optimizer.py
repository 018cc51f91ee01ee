"""Update some embedding tables by row, and all other variables by Keras's optimizer.

It has what the step and checkpoints use of a Keras optimizer. Decisions about all gradients
together (the norm that they are clipped to, whether all of them are finite under float16) are made
over those of rows and of other variables alike, as Keras makes them over dense ones.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives, SoloCollectives
from headrace.recipe import sections as s
from headrace.train.row_rules import make_rule
from headrace.train.table_policy import is_exact


class RowOptimizer:
    """An optimizer of a model with tables that are updated by row."""

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        settings: s.Optimizer,
        tables: Sequence[keras.Variable],
        sharded: Sequence[keras.Variable] = (),
        collectives: Collectives | None = None,
    ) -> None:
        """
        Args:
            optimizer: of the other variables; not built yet.
            settings: of the recipe; it has a rule for tables (`row_rules.has_rule`).
            tables: the variables that are updated by row, float32 (rows, width) each.
            sharded: those of them of which each rank has other rows.
            collectives: the ranks, which decide together where there are such.
        """
        self._sharded = {id(table) for table in sharded}
        self._collectives = collectives or SoloCollectives()
        self._optimizer, self._settings = optimizer, settings
        self._inner = getattr(optimizer, "inner_optimizer", optimizer)
        self._scaling = optimizer if self._inner is not optimizer else None
        # Over all gradients, so here and not there.
        self._inner.global_clipnorm = None
        self._rules = {id(table): make_rule(table, settings) for table in tables}

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make the moments of the variables that are not updated by row."""
        self._optimizer.build([v for v in variables if id(v) not in self._rules])

    @property
    def variables(self) -> list[keras.Variable]:
        """Return Keras's own variables, then the slots of each table."""
        slots = [slot for rule in self._rules.values() for slot in rule.slots]
        return [*self._optimizer.variables, *slots]

    def list_slots(self, table: keras.Variable) -> list[keras.Variable]:
        """List the moments of a table that is updated by row."""
        return list(self._rules[id(table)].slots)

    @property
    def rate_variable(self) -> keras.Variable:
        """Return the variable that holds the learning rate."""
        return self._inner._learning_rate

    def scale_loss(self, loss: tf.Tensor) -> tf.Tensor:
        """Return the loss that gradients are taken of."""
        return self._optimizer.scale_loss(loss)

    def apply(
        self,
        gradients: Sequence[tf.Tensor | tf.IndexedSlices],
        variables: Sequence[keras.Variable],
    ) -> None:
        """Update all variables.

        Args:
            gradients: one for each variable; of a table that is updated by row either kind, and
                the ids of slices each once.
            variables: trainable variables of the model.
        """
        pairs = list(zip(gradients, variables, strict=True))
        dense = [(tf.convert_to_tensor(g), v) for g, v in pairs if id(v) not in self._rules]
        by_row = [(_list_rows(g), v) for g, v in pairs if id(v) in self._rules]
        others, rows = [g for g, _ in dense], [g.values for g, _ in by_row]
        is_finite: tf.Tensor | None = None
        if self._scaling is not None:
            scale = self._scaling.dynamic_scale._value
            rows = [row / scale for row in rows]
            bad = [tf.reduce_any(~tf.math.is_finite(r)) for r in others]
            bad += self._combine(
                [tf.cast(tf.reduce_any(~tf.math.is_finite(r)), tf.float32) for r in rows], by_row
            )
            is_finite = tf.equal(tf.add_n([tf.cast(b, tf.float32) for b in bad]), 0.0)
            # Keras skips the update, and lowers the scale, by what it sees of the others.
            others[0] = tf.where(is_finite, others[0], tf.constant(float("nan"), others[0].dtype))
        else:
            scale = tf.constant(1.0)
        if self._settings.clip_norm is not None:
            squares = [tf.reduce_sum(tf.square(g / scale)) for g in others]
            squares += self._combine([tf.reduce_sum(tf.square(row)) for row in rows], by_row)
            norm = tf.sqrt(tf.add_n(squares))
            limit = self._settings.clip_norm
            factor = limit * tf.minimum(1 / norm, 1 / limit) + (
                norm - norm
            )  # NaN if it is not finite
            others, rows = [g * factor for g in others], [row * factor for row in rows]
        elif self._settings.clip_value is not None:
            limit = self._settings.clip_value  # the others' are clipped by Keras
            rows = [tf.clip_by_value(row, -limit, limit) for row in rows]
        number = tf.cast(self._inner.iterations._value + 1, tf.float32)
        rate = tf.identity(self.rate_variable._value)

        def update_tables() -> tf.Tensor:
            for (gradient, variable), clipped in zip(by_row, rows, strict=True):
                ids, touched = self._select_touched(gradient.indices, clipped)
                self._rules[id(variable)].update_rows(ids, touched, rate, number)
            return tf.constant(True)

        with tf.control_dependencies([number, rate]):
            if is_finite is None:
                update_tables()
            else:
                tf.cond(is_finite, update_tables, lambda: tf.constant(False))
            self._optimizer.apply(others, [v for _, v in dense])

    def rehearse(self, tables: Sequence[keras.Variable], ids: Sequence[tf.Tensor]) -> tf.Tensor:
        """Update rows of tables by no gradient, and put back what they and their slots had.

        Args:
            tables: some of those that are updated by row, and others, which are left alone.
            ids: int32 (n,) for each table, each once.

        Returns:
            a number that has been computed when all is done.
        """
        done = tf.constant(0.0)
        for table, rows in zip(tables, ids, strict=True):
            rule = self._rules.get(id(table))
            if rule is None:
                continue
            variables = [v._value for v in (table, *rule.slots)]
            with tf.control_dependencies([done]):
                before = [tf.gather(variable, rows) for variable in variables]
            with tf.control_dependencies(before):
                rate, number = tf.constant(0.0), tf.constant(1.0)
                rule.update_rows(rows, tf.zeros_like(before[0]), rate, number)
                for variable, values in zip(variables, before, strict=True):
                    variable.scatter_update(tf.IndexedSlices(values, rows))
                done = tf.reduce_sum(before[0][:1])
        return done

    def _combine(
        self, sums: list[tf.Tensor], tables: Sequence[tuple[tf.IndexedSlices, keras.Variable]]
    ) -> list[tf.Tensor]:
        """Return sums over the rows of each table, of all ranks where they have other rows.

        Args:
            sums: float32 scalars of this rank's rows.
            tables: gradient and variable of each.
        """
        is_sharded = [id(variable) in self._sharded for _, variable in tables]
        own = [total for total, is_own in zip(sums, is_sharded, strict=True) if is_own]
        if not own:
            return sums
        combined = iter(tf.unstack(self._collectives.allreduce([tf.stack(own)])[0]))
        return [
            next(combined) if is_own else total
            for total, is_own in zip(sums, is_sharded, strict=True)
        ]

    def _select_touched(self, ids: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Leave out rows without a gradient, which a lazy rule would move by their moments."""
        if is_exact(self._settings):
            return ids, rows
        is_touched = tf.reduce_any(tf.not_equal(rows, 0), axis=1)
        return tf.boolean_mask(ids, is_touched), tf.boolean_mask(rows, is_touched)


def _list_rows(gradient: tf.Tensor | tf.IndexedSlices) -> tf.IndexedSlices:
    """Return a dense gradient as that of all rows."""
    if isinstance(gradient, tf.IndexedSlices):
        return gradient
    return tf.IndexedSlices(gradient, tf.range(tf.shape(gradient)[0]))


AnyOptimizer = keras.optimizers.Optimizer | RowOptimizer
"""Either has `variables`, `scale_loss` and `apply`."""


def get_rate_variable(optimizer: Any) -> keras.Variable:
    """Return the variable that holds the learning rate."""
    if isinstance(optimizer, RowOptimizer):
        return optimizer.rate_variable
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return inner._learning_rate
