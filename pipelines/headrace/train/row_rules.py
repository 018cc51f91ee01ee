"""Update the rows of an embedding table that a batch touched, and no others.

A rule is exact where rows without a gradient would not change under Keras's optimizer of the same
name: `sgd` without momentum, and `adagrad`. The others are lazy: the moments of untouched rows do
not decay, and untouched rows do not move by them. A row whose gradient is 0 is untouched.
"""

from abc import ABC, abstractmethod

import keras
import tensorflow as tf

from headrace.recipe import sections as s


class RowRule(ABC):
    """The update of one table.

    Attributes:
        slots: Keras variables with a row, or a number, for each row of the table.
    """

    def __init__(self, table: keras.Variable, settings: s.Optimizer) -> None:
        """
        Args:
            table: the variable, float32 (rows, width).
            settings: of the recipe.
        """
        self._table, self._settings = table, settings
        self.slots: list[keras.Variable] = []

    @abstractmethod
    def update_rows(
        self, ids: tf.Tensor, gradients: tf.Tensor, rate: tf.Tensor, number: tf.Tensor
    ) -> None:
        """Update the rows and their slots.

        Args:
            ids: int32 (n,), each once.
            gradients: float32 (n, width).
            rate: the learning rate, float32.
            number: of the update, from 1, float32.
        """

    def _add_slot(self, name: str, shape: tuple[int, ...], value: float = 0.0) -> keras.Variable:
        label = self._table.path.replace("/", "_")
        slot = keras.Variable(
            keras.initializers.Constant(value), shape, "float32", False, name=f"{label}_{name}"
        )
        self.slots.append(slot)
        return slot

    def _subtract(self, ids: tf.Tensor, steps: tf.Tensor) -> None:
        # TensorFlow's scatter that subtracts takes 330 ns for each row of 16 numbers, wherever the
        # rows lie; to gather them, and to scatter what is to stand there, 70 ns.
        _put(self._table, ids, _take(self._table, ids) - steps)


class _Sgd(RowRule):
    def __init__(self, table: keras.Variable, settings: s.Optimizer) -> None:
        super().__init__(table, settings)
        self._velocity = None
        if settings.momentum:
            self._velocity = self._add_slot("momentum", tuple(table.shape))

    def update_rows(
        self, ids: tf.Tensor, gradients: tf.Tensor, rate: tf.Tensor, number: tf.Tensor
    ) -> None:
        steps = gradients * rate
        if self._velocity is not None:
            momentum = self._settings.momentum
            velocity = momentum * _take(self._velocity, ids) - steps
            _put(self._velocity, ids, velocity)
            steps = -velocity if not self._settings.nesterov else steps - momentum * velocity
        self._subtract(ids, steps)


class _Adagrad(RowRule):
    """Duchi et al. 2011; with one sum per row, as Mudigere et al. 2022 (arXiv:2104.05158)."""

    def __init__(self, table: keras.Variable, settings: s.Optimizer) -> None:
        super().__init__(table, settings)
        self._by_row = settings.kind == "rowwise_adagrad"
        shape = (int(table.shape[0]), 1) if self._by_row else tuple(table.shape)
        self._sum = self._add_slot("accumulator", shape, settings.initial_accumulator)

    def update_rows(
        self, ids: tf.Tensor, gradients: tf.Tensor, rate: tf.Tensor, number: tf.Tensor
    ) -> None:
        squares = tf.square(gradients)
        if self._by_row:
            squares = tf.reduce_mean(squares, axis=1, keepdims=True)
        total = _take(self._sum, ids) + squares
        _put(self._sum, ids, total)
        self._subtract(ids, rate * gradients / tf.sqrt(total + self._settings.epsilon))


class _Adam(RowRule):
    def __init__(self, table: keras.Variable, settings: s.Optimizer) -> None:
        super().__init__(table, settings)
        self._mean = self._add_slot("momentum", tuple(table.shape))
        self._square = self._add_slot("velocity", tuple(table.shape))
        self._decay = settings.weight_decay if settings.kind == "adamw" else 0.0

    def update_rows(
        self, ids: tf.Tensor, gradients: tf.Tensor, rate: tf.Tensor, number: tf.Tensor
    ) -> None:
        beta_1, beta_2 = self._settings.beta_1, self._settings.beta_2
        mean, square = _take(self._mean, ids), _take(self._square, ids)
        mean += (gradients - mean) * (1 - beta_1)
        square += (tf.square(gradients) - square) * (1 - beta_2)
        _put(self._mean, ids, mean)
        _put(self._square, ids, square)
        corrected_rate = rate * tf.sqrt(1 - beta_2**number) / (1 - beta_1**number)
        steps = corrected_rate * mean / (tf.sqrt(square) + self._settings.epsilon)
        if self._decay:
            steps += rate * self._decay * _take(self._table, ids)
        self._subtract(ids, steps)


_RULES: dict[str, type[RowRule]] = {
    "sgd": _Sgd, "adagrad": _Adagrad, "rowwise_adagrad": _Adagrad, "adam": _Adam, "adamw": _Adam,
}  # fmt: skip


def make_rule(table: keras.Variable, settings: s.Optimizer) -> RowRule:
    """Make the rule of a table; its slots begin as Keras's do."""
    return _RULES[settings.kind](table, settings)


def _take(variable: keras.Variable, ids: tf.Tensor) -> tf.Tensor:
    return tf.gather(variable._value, ids)


def _put(variable: keras.Variable, ids: tf.Tensor, rows: tf.Tensor) -> None:
    variable._value.scatter_update(tf.IndexedSlices(rows, ids))
