"""Loss, gradients and update of one step, against values worked out by hand.

What spans several steps is in `test_step_updates.py`, several ranks in `test_step_on_ranks.py`.
"""

import numpy as np
import pytest
import tensorflow as tf

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.features.scaled import ScaledFeature
from headrace.labels.kinds import find_label_kind
from headrace.models.build import build_model
from headrace.recipe.sections import Mlp, Optimizer
from headrace.train.optimizer import build_optimizer
from headrace.train.step import TrainStep
from tests.train.one_neuron import (
    CLASSES,
    LABELS,
    REGRESSION,
    batch,
    one_neuron,
    sgd_step,
    spec,
)


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
