"""Losses that are trained, and their gradients, beside finite differences of losses in NumPy."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from headrace.labels.spec import LabelSpec
from tests.labels.losses.make_loss import CLASSES, UNIT, make_label

FOCAL = [{"kind": "focal", "gamma": gamma} for gamma in (0.0, 0.5, 1.0, 2.0)]
CASES: list[tuple[str, Any, dict[str, float]]] = [
    *(
        (kind, loss, unit)
        for kind, units in (("regression", ({}, UNIT)), ("count", ({},)))
        for unit in units
        for loss in (
            "squared_error", "absolute_error", {"kind": "quantile", "level": 0.9},
            {"kind": "quantile", "level": 0.05}, {"kind": "huber", "delta": 0.7},
        )
    ),
    ("count", "poisson", {}),
    *((kind, loss, {}) for kind in ("binary", "classes", "multi_label") for loss in FOCAL),
    *((k, {"kind": "focal", "alpha": 0.8}, {}) for k in ("binary", "multi_label")),
    ("binary", "cross_entropy", {}),
]  # fmt: skip


def draw_rows(label: LabelSpec, rows: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels and logits."""
    random = np.random.default_rng(3)
    match label.kind:
        case "binary":
            return (random.random(rows) < 0.5).astype(np.float32), random.normal(0, 2, rows)
        case "classes":
            return random.integers(0, 4, rows).astype(np.int32), random.normal(0, 2, (rows, 4))
        case "multi_label":
            truth = (random.random((rows, 4)) < 0.5).astype(np.float32)
            return truth, random.normal(0, 2, (rows, 4))
        case "count":
            return random.poisson(2, rows).astype(np.float32), random.normal(0, 0.5, rows)
    return random.normal(size=rows).astype(np.float32), random.normal(size=rows)


def activate(logits: np.ndarray, activation: str) -> np.ndarray:
    """The model's output, in float64."""
    if activation == "softmax":
        odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=-1, keepdims=True))
    return {
        "sigmoid": lambda: 1 / (1 + np.exp(-logits)),
        "exponential": lambda: np.exp(logits),
        "linear": lambda: logits,
    }[activation]()


def compute_losses(label: LabelSpec, truth: np.ndarray, logits: np.ndarray) -> Any:
    """Losses of logits and their gradients, as in training."""
    tensor = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        losses = label.make_row_losses()(tf.constant(truth), tensor)
    return losses.numpy(), tape.gradient(losses, tensor).numpy()


@pytest.mark.parametrize(("kind", "loss", "unit"), CASES, ids=str)
def test_gradients_are_finite_differences(kind: str, loss: Any, unit: dict[str, float]) -> None:
    label = make_label(kind, loss, **unit)
    truth, logits = draw_rows(label)

    def compute_mean(logits: np.ndarray) -> float:
        return label.compute_mean_loss(activate(logits, label.definition.activation), truth)

    losses, gradient = compute_losses(label, truth, logits)
    assert losses.shape == (len(truth),)
    assert losses.mean() == pytest.approx(compute_mean(logits), rel=1e-5)
    step = 1e-5
    for position in np.ndindex(logits.shape):
        there, back = logits.copy(), logits.copy()
        there[position] += step
        back[position] -= step
        slope = (compute_mean(there) - compute_mean(back)) / (2 * step) * len(truth)
        assert gradient[position] == pytest.approx(slope, rel=2e-3, abs=2e-4)


@pytest.mark.parametrize("kind", ["binary", "classes", "multi_label"])
@pytest.mark.parametrize("loss", FOCAL, ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("size", [20.0, 200.0, 1e6])
def test_focal_gradients_are_finite_where_probabilities_are_0_and_1(
    kind: str, loss: Any, smoothing: float, size: float
) -> None:
    label = make_label(kind, loss)
    truth, logits = draw_rows(label)
    tensor = tf.constant(np.sign(logits) * size, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        losses = label.make_row_losses(smoothing)(tf.constant(truth), tensor)
    gradient = tape.gradient(losses, tensor).numpy()
    assert np.isfinite(losses.numpy()).all()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0.05  # rows that are wrong are learned from


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["binary", "classes", "multi_label"])
def test_a_gamma_of_0_is_cross_entropy(kind: str, smoothing: float) -> None:
    label = make_label(kind, {"kind": "focal", "gamma": 0.0})
    truth, logits = draw_rows(label)
    rows = tf.constant(truth), tf.constant(logits, tf.float32)
    losses = label.make_row_losses(smoothing)(*rows)
    expected = label.definition.make_row_losses(smoothing)(*rows)
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        ("binary", "cross_entropy"), ("classes", "cross_entropy"), ("multi_label", "cross_entropy"),
        ("regression", "squared_error"), ("count", "poisson"),
    ],
)  # fmt: skip
def test_what_a_kind_has_by_itself_is_the_same_bit_for_bit(kind: str, loss: str) -> None:
    named = make_label(kind, loss)
    plain = LabelSpec(kind=kind, classes=CLASSES if named.classes else ())
    assert named == plain
    assert named.loss is None
    truth, logits = draw_rows(plain)
    rows = tf.constant(truth), tf.constant(logits, tf.float32)
    losses = named.make_row_losses()(*rows)
    np.testing.assert_array_equal(losses, plain.definition.make_row_losses()(*rows))


def test_hubers_delta_is_in_the_labels_own_unit() -> None:
    """Errors of 5 and 50 in a unit of 10: 0.5 and 5 of a standardized label."""
    label = make_label("regression", {"kind": "huber", "delta": 20.0}, **UNIT)
    losses, gradient = compute_losses(label, np.zeros(2, np.float32), np.array([0.5, 5.0]))
    np.testing.assert_allclose(losses * UNIT["scale"] ** 2, [5**2 / 2, 20 * (50 - 10)], rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.5, 2.0], rtol=1e-6)


def test_no_error_is_too_large_for_hubers_gradient() -> None:
    label = make_label("regression", {"kind": "huber", "delta": 1.0})
    losses, gradient = compute_losses(label, np.zeros(1, np.float32), np.array([1e30]))
    np.testing.assert_allclose(losses, [1e30], rtol=1e-6)
    np.testing.assert_allclose(gradient, [1.0])


@pytest.mark.parametrize("kind", ["binary", "classes", "multi_label"])
def test_focal_is_kerass(kind: str) -> None:
    import keras

    label = make_label(kind, {"kind": "focal", "gamma": 1.5})
    truth, logits = draw_rows(label)
    losses, _ = compute_losses(label, truth, logits)
    output = activate(logits, label.definition.activation).astype(np.float32)
    if kind == "classes":
        theirs = keras.losses.categorical_focal_crossentropy(
            np.eye(4, dtype=np.float32)[truth], output, alpha=1.0, gamma=1.5
        )
    else:
        pair = (truth, output) if kind == "multi_label" else (truth[:, None], output[:, None])
        theirs = keras.losses.binary_focal_crossentropy(*pair, gamma=1.5)
    np.testing.assert_allclose(losses, theirs, rtol=1e-4, atol=1e-6)
