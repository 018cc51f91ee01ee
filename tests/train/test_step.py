"""One training step, against values worked out by hand. Several ranks: `test_step_on_ranks.py`."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.features.scaled import ScaledFeature
from headrace.labels.kinds import find_label_kind
from headrace.labels.spec import LabelSpec
from headrace.models.build import build_model
from headrace.recipe.sections import Mlp, Optimizer
from headrace.train.optimizer import build_optimizer
from headrace.train.step import StepOptions, TrainStep
from headrace.transform.spec import RawColumn, TransformSpec

BINARY = LabelSpec()
REGRESSION = LabelSpec(kind="regression")
LABELS = LabelSpec(kind="multi_label", classes=("a", "b"))
CLASSES = LabelSpec(kind="classes", classes=("a", "b", "c"))


def spec(label: LabelSpec) -> TransformSpec:
    return TransformSpec(
        raw=(RawColumn(name="x", kind="real", nullable=False),),
        derived=(),
        features=(ScaledFeature(name="x", column="x"),),
        label=label,
    )


def batch(
    x: list[float], label: list[float], weight: list[float], **more: list[float]
) -> dict[str, tf.Tensor]:
    return {
        "numeric": tf.constant([[value] for value in x], tf.float32),
        "label": tf.constant(label, tf.int32 if isinstance(label[0], int) else tf.float32),
        "weight": tf.constant(weight, tf.float32),
        **{name: tf.constant(values, tf.float32) for name, values in more.items()},
    }


def one_neuron(l2: float = 0.0, label: LabelSpec = BINARY) -> keras.Model:
    """Logit 1 · relu(0.5 · x) - 0.25, biases 0 but the last."""
    model = build_model(Mlp(kind="mlp", hidden=[1], l2=l2), spec(label))
    model.set_weights([np.array([[0.5]]), np.array([0.0]), np.array([[1.0]]), np.array([-0.25])])
    return model


def sgd_step(model: keras.Model, rows: dict[str, Any], label: LabelSpec = BINARY) -> list[float]:
    """Loss and weight of one step at rate 0.1."""
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1))
    optimizer.build(model.trainable_variables)
    result = TrainStep(model, optimizer, SoloCollectives(), label.kind)(rows, rate=0.1)
    return [float(result.loss), float(result.weight)]


def test_forward_loss_backpropagation_and_update_by_hand() -> None:
    model = one_neuron()
    # x = 2, label 1: hidden 1, logit 0.75, p = 1 / (1 + e^-0.75) = 0.6791787, -ln p = 0.3868710
    loss, weight = sgd_step(model, batch([2.0], [1.0], [1.0]))
    assert loss == pytest.approx(0.3868710, abs=1e-6)
    assert weight == 1.0
    # d loss / d logit = p - 1 = -0.3208213; times hidden 1, and times output weight 1 and x 2
    w1, b1, w2, b2 = (float(w.reshape(-1)[0]) for w in model.get_weights())
    assert w2 == pytest.approx(1.0 + 0.1 * 0.3208213, abs=1e-6)
    assert b2 == pytest.approx(-0.25 + 0.1 * 0.3208213, abs=1e-6)
    assert w1 == pytest.approx(0.5 + 0.1 * 0.3208213 * 2, abs=1e-6)
    assert b1 == pytest.approx(0.1 * 0.3208213, abs=1e-6)


def test_several_labels_by_hand() -> None:
    model = build_model(Mlp(kind="mlp", hidden=[1]), spec(LABELS))
    model.set_weights(
        [np.array([[0.5]]), np.zeros(1), np.array([[1.0, -1.0]]), np.array([-0.25, 0.0])]
    )
    rows = batch([2.0], [1.0], [1.0]) | {"label": tf.constant([[1.0, 1.0]])}
    # x = 2: hidden 1, logits 0.75 and -1; -ln p of both are 0.3868710 and 1.3132617, their mean:
    loss, weight = sgd_step(model, rows, LABELS)
    assert loss == pytest.approx((0.3868710 + 1.3132617) / 2, abs=1e-6)
    assert weight == 1.0
    # d loss / d logits = (p - 1) / 2: -0.3208213 / 2 and -0.7310586 / 2
    biases = model.get_weights()[3]
    np.testing.assert_allclose(
        biases, [-0.25 + 0.1 * 0.3208213 / 2, 0.1 * 0.7310586 / 2], atol=1e-6
    )


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_several_labels_are_smoothed_as_one_is(share: float) -> None:
    labels, logits = tf.constant([[1.0, 0.0]]), tf.constant([[0.75, -1.0]])
    compute_binary = find_label_kind("binary").make_row_losses(share)
    each = [float(compute_binary(labels[:, i], logits[:, i])[0]) for i in range(2)]
    losses = find_label_kind("multi_label").make_row_losses(share)(labels, logits)
    np.testing.assert_allclose(losses, [np.mean(each)], rtol=1e-6)


def test_squared_error_by_hand() -> None:
    model = one_neuron(label=REGRESSION)
    # outputs 0.75 and 1.75 for labels 1 and 1: squared errors 0.0625 and 0.5625
    loss, weight = sgd_step(model, batch([2.0, 4.0], [1.0, 1.0], [1.0, 1.0]), REGRESSION)
    assert loss == pytest.approx((0.0625 + 0.5625) / 2, abs=1e-6)
    assert weight == 2.0
    # d loss / d output bias = mean of 2 · (-0.25) and 2 · 0.75 = 0.5
    assert float(model.get_weights()[3][0]) == pytest.approx(-0.25 - 0.1 * 0.5, abs=1e-6)


def test_softmax_cross_entropy_by_hand() -> None:
    model = build_model(Mlp(kind="mlp", hidden=[1]), spec(CLASSES))
    logits = np.log([0.5, 0.25, 0.25])
    model.set_weights([np.array([[0.5]]), np.array([0.0]), np.array([[0.0, 0.0, 0.0]]), logits])
    loss, _ = sgd_step(model, batch([2.0, 2.0], [0, 2], [1.0, 1.0]), CLASSES)
    assert loss == pytest.approx((np.log(2) + np.log(4)) / 2, abs=1e-6)
    # the biases' gradient: probabilities less the share of each class among the labels
    moved = (model.get_weights()[3] - logits) / -0.1
    np.testing.assert_allclose(moved, [0.5 - 0.5, 0.25 - 0.0, 0.25 - 0.5], atol=1e-5)


def test_sample_weights_multiply_losses_and_the_mean_is_over_their_sum() -> None:
    weighted, repeated = one_neuron(), one_neuron()
    loss, weight = sgd_step(
        weighted,
        batch([2.0, -1.0, 5.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], sample_weight=[2.0, 0.5, 9.0]),
    )
    # losses 0.3868710 (logit 0.75, label 1) and 0.5759394 (logit -0.25, label 0)
    assert loss == pytest.approx((2 * 0.3868710 + 0.5 * 0.5759394) / 2.5, abs=1e-6)
    assert weight == 2.5
    sgd_step(repeated, batch([2.0] * 4 + [-1.0], [1.0] * 4 + [0.0], [1.0] * 5))
    for x, y in zip(weighted.get_weights(), repeated.get_weights(), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-7)


def test_padding_rows_change_nothing() -> None:
    plain, padded = one_neuron(l2=0.3), one_neuron(l2=0.3)
    a = sgd_step(plain, batch([2.0, -1.0], [1.0, 0.0], [1.0, 1.0]))
    b = sgd_step(padded, batch([2.0, -1.0, 0.0, 99.0], [1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]))
    assert a == pytest.approx(b, abs=1e-7)
    for x, y in zip(plain.get_weights(), padded.get_weights(), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-7)


def test_l2_adds_its_own_gradient_once() -> None:
    free, bound = one_neuron(), one_neuron(l2=0.3)
    rows = batch([2.0, 2.0], [1.0, 1.0], [1.0, 1.0], sample_weight=[0.5, 3.0])
    sgd_step(free, rows)
    sgd_step(bound, rows)
    # the penalty 0.3 · 0.5² has gradient 0.3 on the hidden weight, times the rate 0.1
    difference = free.get_weights()[0] - bound.get_weights()[0]
    assert float(difference.reshape(-1)[0]) == pytest.approx(0.03, abs=1e-6)


def test_a_batch_of_padding_alone_moves_nothing() -> None:
    model = one_neuron(l2=0.3)
    before = model.get_weights()
    assert sgd_step(model, batch([1.0], [1.0], [0.0])) == [0.0, 0.0]
    for x, y in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_classic_2_3_1_network_by_hand() -> None:
    """Half the mean squared error 1/(2n) Σ (y - y*)², plain SGD at 0.1.

    Training minimizes the mean squared error, twice that, so that half the rate makes its update.
    x = (1, 2): hidden sums (0.1 + 0.4, 0.2 - 0.2, 0.3 - 1.0) + 0.1 = (0.6, 0.1, -0.6), relu
    (0.6, 0.1, 0); y = 0.5 · 0.6 - 1.0 · 0.1 + 2.0 · 0 + 0.2 = 0.4, y* = 1: half MSE 0.18.
    dL/dy = -0.6; output kernel -0.6 · (0.6, 0.1, 0), bias -0.6; hidden -0.6 · (0.5, -1, 0 by relu).
    """
    two = spec(REGRESSION).model_copy(
        update={"features": tuple(ScaledFeature(name=n, column="x") for n in ("x", "z"))}
    )
    model = build_model(Mlp(kind="mlp", hidden=[3]), two)
    w1 = np.array([[0.1, 0.2, 0.3], [0.2, -0.1, -0.5]])
    b1, w2, b2 = np.full(3, 0.1), np.array([[0.5], [-1.0], [2.0]]), np.array([0.2])
    model.set_weights([w1, b1, w2, b2])
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.05))
    optimizer.build(model.trainable_variables)
    rows = {
        "numeric": tf.constant([[1.0, 2.0]]),
        "label": tf.constant([1.0]),
        "weight": tf.constant([1.0]),
    }
    np.testing.assert_allclose(model({"numeric": rows["numeric"]}), [0.4], atol=1e-6)
    result = TrainStep(model, optimizer, SoloCollectives(), "regression")(rows, rate=0.05)
    assert float(result.loss) / 2 == pytest.approx(0.18, abs=1e-6)
    hidden = np.array([-0.3, 0.6, 0.0])
    expected = [
        w1 - 0.1 * np.array([[1.0], [2.0]]) * hidden,
        b1 - 0.1 * hidden,
        w2 - 0.1 * np.array([[-0.36], [-0.06], [0.0]]),
        b2 + 0.1 * 0.6,
    ]
    for weight, value in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(weight, value, atol=1e-6)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_float32_weights_and_outputs(precision: str) -> None:
    keras.config.set_dtype_policy(precision)
    try:
        keras.utils.set_random_seed(1)
        model = build_model(Mlp(kind="mlp", hidden=[8], normalize="batch"), spec(BINARY))
        assert model.get_layer("hidden.0").compute_dtype == precision.removeprefix("mixed_")
        optimizer = build_optimizer(Optimizer(kind="adam"), precision)
        optimizer.build(model.trainable_variables)
        step = TrainStep(model, optimizer, SoloCollectives(), "binary")
        rows = batch([-2.0, -1.0, 1.0, 2.0], [0.0, 0.0, 1.0, 1.0], [1.0] * 4)
        losses = [float(step(rows, n, rate=0.05).loss) for n in range(30)]
        assert losses[-1] < 0.5 * losses[0]
        assert {w.dtype for w in model.weights} == {"float32"}
        assert model({"numeric": rows["numeric"]}).dtype == tf.float32
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_step_whose_scaled_gradients_overflow_is_left_out() -> None:
    model = one_neuron()
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1), "mixed_float16")
    optimizer.build(model.trainable_variables)
    step = TrainStep(model, optimizer, SoloCollectives(), "binary")
    before = model.get_weights()
    scale = float(optimizer.dynamic_scale)
    step(batch([float("inf")], [1.0], [1.0]), rate=0.1)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert float(optimizer.dynamic_scale) < scale


def test_label_smoothing_by_hand() -> None:
    """Logit 0.75, label 1 smoothed by 0.2 to 0.9: 0.9 · 0.3868710 + 0.1 · 1.1368710."""
    model = one_neuron()
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1))
    optimizer.build(model.trainable_variables)
    options = StepOptions(label_smoothing=0.2)
    result = TrainStep(model, optimizer, SoloCollectives(), "binary", options)(
        batch([2.0], [1.0], [1.0]), rate=0.1
    )
    assert float(result.loss) == pytest.approx(0.9 * 0.3868710 + 0.1 * 1.1368710, abs=1e-6)


def build_step(accumulate: int = 1) -> tuple[keras.Model, TrainStep]:
    """Return a model and its step, with momentum and a rate that is not that of the steps."""
    model = one_neuron()
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=5.0, momentum=0.9))
    optimizer.build(model.trainable_variables)
    options = StepOptions(accumulate=accumulate)
    return model, TrainStep(model, optimizer, SoloCollectives(), "binary", options)


def test_every_update_has_the_rate_of_its_step_and_not_the_optimizers() -> None:
    model = one_neuron()
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=5.0))
    optimizer.build(model.trainable_variables)
    step = TrainStep(model, optimizer, SoloCollectives(), "binary")
    # d loss / d output bias is -0.3208213 at first; of a batch of padding it is 0
    step(batch([2.0], [1.0], [1.0]), 0, rate=0.1)
    assert float(model.get_weights()[3][0]) == pytest.approx(-0.25 + 0.1 * 0.3208213, abs=1e-6)
    step(batch([2.0], [1.0], [0.0]), 1, rate=0.02)
    assert float(optimizer.learning_rate) == pytest.approx(0.02)


def test_two_batches_make_the_update_of_one_batch_of_both() -> None:
    """And so do the next two: what was accumulated before the first update is gone."""
    rows = [(2.0, 1.0, 1.0), (-1.0, 0.0, 3.0), (5.0, 0.0, 0.5), (1.0, 1.0, 2.0)]
    apart, step_apart = build_step(accumulate=2)
    together, step_together = build_step()
    results = []
    for number, (x, label, weight) in enumerate(rows):
        single = batch([x], [label], [1.0], sample_weight=[weight])
        results.append(step_apart(single, number, rate=0.1, update=number % 2 == 1))
    for number in (0, 2):
        xs, labels, weights = zip(*rows[number : number + 2], strict=True)
        double = batch(list(xs), list(labels), [1.0, 1.0], sample_weight=list(weights))
        expected = step_together(double, number, rate=0.1)
        assert float(results[number].weight) == float(results[number].loss) == 0.0
        assert float(results[number + 1].weight) == float(expected.weight)
        assert float(results[number + 1].loss) == pytest.approx(float(expected.loss), abs=1e-6)
    for x, y in zip(apart.get_weights(), together.get_weights(), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)
    assert int(step_apart.updates) == int(step_together.updates) == 2


def test_a_batch_that_makes_no_update_moves_nothing() -> None:
    model, step = build_step(accumulate=2)
    before = model.get_weights()
    step(batch([2.0], [1.0], [1.0]), 0, rate=0.1, update=False)
    for x, y in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)
    assert int(step.updates) == 0


def test_flags_are_summed_at_an_update_alone() -> None:
    _, step = build_step(accumulate=2)
    rows = batch([2.0], [1.0], [1.0])
    assert float(step(rows, 0, rate=0.1, flag=1.0, update=False).flags) == 0.0
    assert float(step(rows, 1, rate=0.1, flag=3.0).flags) == 3.0


def test_mixed_labels_share_the_loss() -> None:
    """Logit 0.75: label 1 has loss 0.3868710 and label 0 has 1.1368710, here 3 to 1."""
    rows = batch([2.0], [1.0], [1.0], mixed_with=[0.0], mixed_share=[0.75])
    loss, _ = sgd_step(one_neuron(), rows)
    assert loss == pytest.approx(0.75 * 0.3868710 + 0.25 * 1.1368710, abs=1e-6)


def test_an_elastic_rank_takes_back_what_batches_since_the_update_did() -> None:
    """Here to the moving statistics of batch normalization, twice within an update."""
    model = build_model(Mlp(kind="mlp", hidden=[2], normalize="batch"), spec(BINARY))
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1))
    optimizer.build(model.trainable_variables)
    collectives = SoloCollectives()
    collectives.is_elastic = True
    step = TrainStep(model, optimizer, collectives, "binary", StepOptions(accumulate=3))
    rows = batch([2.0, 5.0], [1.0, 0.0], [1.0, 1.0])
    for number in range(3):
        step(rows, number, rate=0.1, update=number == 2)
    after_update = model.get_weights()
    step.undo_batches()  # there is nothing to undo
    for number in (3, 4):
        step(rows, number, rate=0.1, update=False)
    changed = [
        not np.array_equal(x, y) for x, y in zip(after_update, model.get_weights(), strict=True)
    ]
    assert any(changed)
    step.undo_batches()
    for x, y in zip(after_update, model.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_dropout_is_a_function_of_seed_rank_and_step() -> None:
    def drop(number: int, seed: int = 3, rank: int = 0) -> float:
        keras.utils.set_random_seed(1)
        model = build_model(Mlp(kind="mlp", hidden=[64], dropout=0.5), spec(BINARY))
        optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1))
        optimizer.build(model.trainable_variables)
        collectives = SoloCollectives()
        collectives.rank = rank
        step = TrainStep(model, optimizer, collectives, "binary", StepOptions(seed=seed))
        return float(step(batch([2.0], [1.0], [1.0]), number, rate=0.1).loss)

    assert drop(7) == drop(7)
    assert len({drop(7), drop(8), drop(7, seed=4), drop(7, rank=1)}) == 4


def test_one_rank_needs_no_time_to_sum() -> None:
    _, step = build_step()
    assert step.measure_allreduce_seconds() == 0.0
