"""Updates by row: exact ones are Keras's over the whole table, lazy ones are worked out by hand."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.recipe.sections import Optimizer
from headrace.train.optimizer import build_optimizer
from headrace.train.row_optimizer import RowOptimizer, get_rate_variable
from headrace.train.table_policy import has_rule, is_exact

START = np.arange(15, dtype=np.float32).reshape(5, 3) / 10
BIAS = np.array([1.0, -1.0], np.float32)


def update(
    settings: dict[str, Any], steps: list[dict[int, list[float]]], by_row: bool, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return table and bias after steps, each of which has gradients for some rows."""
    section = Optimizer.model_validate({"learning_rate": 0.5, **settings})
    table, bias = keras.Variable(START, name="table"), keras.Variable(BIAS, name="bias")
    optimizer = build_optimizer(section, tables=[table] if by_row else [], **options)
    optimizer.build([table, bias])
    assert isinstance(optimizer, RowOptimizer) == by_row

    @tf.function(reduce_retracing=True)
    def apply(ids: tf.Tensor, rows: tf.Tensor, others: tf.Tensor) -> None:
        slices = tf.IndexedSlices(rows, ids, tf.constant([5, 3], tf.int64))
        gradient = slices if by_row else tf.convert_to_tensor(slices)
        optimizer.apply([gradient, others], [table, bias])

    for step in steps:
        get_rate_variable(optimizer).assign(section.learning_rate)
        rows = tf.constant(list(step.values()), tf.float32)
        apply(tf.constant(list(step), tf.int32), rows, tf.constant([0.5, 1.0]))
    return table.numpy(), bias.numpy()


STEPS = [
    {1: [1.0, -2.0, 0.5], 3: [0.1, 0.2, -0.3]},
    {3: [1.0, 1.0, 1.0]},
    {0: [-1.0, 4.0, 0.0], 1: [0.5, 0.5, 0.5], 4: [2.0, 0.0, -2.0]},
]


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "sgd"},
        {"kind": "sgd", "clip_norm": 0.75},
        {"kind": "sgd", "clip_value": 0.4},
        {"kind": "adagrad"},
        {"kind": "adagrad", "initial_accumulator": 0.0, "epsilon": 1e-3},
        {"kind": "adagrad", "clip_norm": 1.5},
    ],
)
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_an_exact_rule_is_kerass_over_all_rows(settings: dict[str, Any], precision: str) -> None:
    assert is_exact(Optimizer.model_validate(settings))
    own = update(settings, STEPS, by_row=True, precision=precision)
    keras_own = update(settings, STEPS, by_row=False, precision=precision)
    for a, b in zip(own, keras_own, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    assert np.abs(own[0] - START).max() > (1e-6 if precision == "mixed_float16" else 1e-2)


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "sgd", "momentum": 0.9},
        {"kind": "sgd", "momentum": 0.9, "nesterov": True},
        {"kind": "adam", "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3},
        {"kind": "adamw", "weight_decay": 0.1},
    ],
)
def test_a_lazy_rule_is_kerass_where_every_row_has_a_gradient(settings: dict[str, Any]) -> None:
    steps = [
        {row: np.random.default_rng(7 * number + row).normal(size=3).tolist() for row in range(5)}
        for number in range(4)
    ]
    lazy = {**settings, "sparse": "lazy"}
    for a, b in zip(
        update(lazy, steps, by_row=True), update(settings, steps, by_row=False), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings", [{"kind": "sgd", "momentum": 0.5}, {"kind": "adam"}])
def test_a_lazy_rule_leaves_rows_without_a_gradient_where_they_are(
    settings: dict[str, Any],
) -> None:
    """A gradient of zeros is none: padding has such ones. Keras moves these rows on."""
    steps = [{1: [1.0, 1.0, 1.0]}, {1: [0.0, 0.0, 0.0], 2: [1.0, 0.0, 0.0]}]
    table, _ = update({**settings, "sparse": "lazy"}, steps, by_row=True)
    once, _ = update({**settings, "sparse": "lazy"}, steps[:1], by_row=True)
    np.testing.assert_array_equal(table[1], once[1])
    assert (table[2] != START[2]).tolist() == [True, False, False]
    dense, _ = update(settings, steps, by_row=False)
    assert (dense[1] != once[1]).all()


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
@pytest.mark.parametrize("settings", [{"kind": "adamw", "weight_decay": 0.5}, {"kind": "adam"}])
def test_a_batch_of_padding_alone_moves_no_row(settings: dict[str, Any], precision: str) -> None:
    lazy = {**settings, "sparse": "lazy", "clip_norm": 1.0}
    table, bias = update(lazy, [{0: [0.0] * 3, 1: [0.0] * 3}], by_row=True, precision=precision)
    np.testing.assert_array_equal(table, START)
    assert (bias != BIAS).all()


def test_lazy_adam_by_hand() -> None:
    """The second gradient of a row is its second moment, and the third update of the training."""
    settings = {"kind": "adam", "sparse": "lazy", "beta_1": 0.5, "beta_2": 0.75, "epsilon": 1e-3}
    steps = [{1: [2.0, 2.0, 2.0]}, {2: [1.0, 1.0, 1.0]}, {1: [4.0, 4.0, 4.0]}]
    table, _ = update(settings, steps, by_row=True)
    # m = 1, v = 1; rate 0.5 sqrt(1 - 0.75) / (1 - 0.5) = 0.5: a step of 0.5 · 1 / 1.001
    first = 0.5 * 1 / 1.001
    # m = 0.5 · 1 + 0.5 · 4 = 2.5, v = 0.75 · 1 + 0.25 · 16 = 4.75, rate of the third update
    rate = 0.5 * np.sqrt(1 - 0.75**3) / (1 - 0.5**3)
    second = rate * 2.5 / (np.sqrt(4.75) + 1e-3)
    np.testing.assert_allclose(table[1], START[1] - first - second, rtol=1e-5)


def test_rowwise_adagrad_by_hand() -> None:
    """One sum of mean squares for a row; other weights are adagrad's."""
    settings = {"kind": "rowwise_adagrad", "initial_accumulator": 1.0, "epsilon": 0.25}
    table, bias = update(settings, [{1: [3.0, 0.0, 0.0]}, {1: [0.0, 3.0, 3.0]}], by_row=True)
    # mean squares 3 and 6: sums 1 + 3 and 1 + 9
    first, second = 0.5 / np.sqrt(4 + 0.25), 0.5 / np.sqrt(10 + 0.25)
    expected = START[1] - [3 * first, 3 * second, 3 * second]
    np.testing.assert_allclose(table[1], expected, rtol=1e-6)
    np.testing.assert_array_equal(np.delete(table, 1, 0), np.delete(START, 1, 0))
    adagrad = {**settings, "kind": "adagrad"}
    np.testing.assert_array_equal(bias, update(adagrad, [{1: [1.0] * 3}] * 2, by_row=True)[1])


@pytest.mark.parametrize("bad", ["table", "bias"])
def test_a_step_that_is_not_finite_is_skipped_for_all_weights(bad: str) -> None:
    """With float16: whichever gradient it is, no weight moves, and the scale is lowered."""
    table, bias = keras.Variable(START, name="table"), keras.Variable(BIAS, name="bias")
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.5), "mixed_float16", [table])
    optimizer.build([table, bias])
    scale = float(optimizer._optimizer.dynamic_scale)
    values = {"table": 1.0, "bias": 1.0} | {bad: np.inf}
    row = tf.constant([[values["table"]] * 3])
    slices = tf.IndexedSlices(row, tf.constant([1]), tf.constant([5, 3], tf.int64))
    optimizer.apply([slices, tf.constant([values["bias"]] * 2)], [table, bias])
    np.testing.assert_array_equal(table.numpy(), START)
    np.testing.assert_array_equal(bias.numpy(), BIAS)
    assert float(optimizer._optimizer.dynamic_scale) == scale / 2
    row = tf.constant([[scale] * 3])
    slices = tf.IndexedSlices(row, tf.constant([1]), tf.constant([5, 3], tf.int64))
    optimizer.apply([slices, tf.constant([1.0, 1.0]) * scale / 2], [table, bias])
    np.testing.assert_allclose(table.numpy()[1], START[1] - 0.5 * 2)
    np.testing.assert_allclose(bias.numpy(), BIAS - 0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_not_hidden(bad: float) -> None:
    """Without float16 it reaches the weights, and the training ends with an error of theirs."""
    for settings in ({"kind": "adagrad", "clip_norm": 1.0}, {"kind": "adam", "sparse": "lazy"}):
        table, _ = update(settings, [{1: [bad, 1.0, 1.0]}], by_row=True)
        assert not np.isfinite(table[1]).all()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"kind": "sgd"}, (True, True)),
        ({"kind": "sgd", "momentum": 0.9}, (False, False)),
        ({"kind": "sgd", "momentum": 0.9, "sparse": "lazy"}, (True, False)),
        ({"kind": "adagrad"}, (True, True)),
        ({"kind": "rowwise_adagrad"}, (True, True)),
        ({"kind": "adam"}, (False, False)),
        ({"kind": "adamw", "sparse": "lazy"}, (True, False)),
        ({"kind": "lamb"}, (False, False)),
    ],
)
def test_which_settings_update_by_row(
    settings: dict[str, Any], expected: tuple[bool, bool]
) -> None:
    section = Optimizer.model_validate(settings)
    assert (has_rule(section), has_rule(section) and is_exact(section)) == expected
