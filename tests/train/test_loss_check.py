"""A loss of the user's own: what it gets, what it must not return, and what padding does to it."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.errors import ModelError, RecipeError, TrainError
from headrace.labels.losses.kinds import parse_loss
from headrace.labels.spec import LabelSpec
from headrace.models.build import build_model
from headrace.recipe.sections import Mlp, Optimizer
from headrace.train.loss_check import check_loss
from headrace.train.optimizer import build_optimizer
from headrace.train.step import TrainStep
from headrace.train.step_options import StepOptions
from tests.train.one_neuron import LABELS, batch, one_neuron, spec

REGRESSION = LabelSpec(kind="regression")
ROWS = batch([2.0, 4.0, -1.0, 8.0], [1.0, 2.0, 3.0, 0.0], [1.0, 1.0, 1.0, 0.0])


def make_label(function: str, label: LabelSpec = REGRESSION, **options: Any) -> LabelSpec:
    path = function if ":" in function else f"tests.train.own_losses:{function}"
    tree = {"kind": "python", "function": path, "options": options}
    return label.with_loss(parse_loss(tree))


def check(function: str, label: LabelSpec = REGRESSION, rows: Any = ROWS, **options: Any) -> None:
    label = make_label(function, label, **options)
    model = one_neuron(label=label)
    check_loss("mine", label.make_row_losses(), model, rows)


def test_a_loss_per_row_that_can_be_differentiated_is_taken() -> None:
    check("asymmetric")
    check("asymmetric", late=7.0)
    check("undefined_at_0")  # which the padding row alone is


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("mean_of_batch", r"returned shape \(\) for 3 rows, expected \(3,\): a loss per row"),
        ("number", r"returned shape \(\) for 3 rows"),
        ("centered_by_batch", "another loss where fewer rows are beside it"),
        ("rounded", "has no gradient by the outputs"),
        ("logarithm", "gives 1 losses of 3 rows that are not finite"),
        ("root", "gives 1 derivatives by the outputs that are not finite"),
        ("branching", "failed with .*called in a graph"),
        ("keras.losses:log_cosh", r"returned shape \(\) for 3 rows"),
    ],
)
def test_what_cannot_be_trained_with_is_found_before_the_first_epoch(
    function: str, message: str
) -> None:
    # outputs 0.75, 1.75 and -0.25
    rows = {**ROWS, "label": tf.constant([0.75, 2.0, 3.0, 0.0])} if function == "root" else ROWS
    with pytest.raises(TrainError, match=message) as caught:
        check(function, rows=rows)
    assert "train.loss.function: mine " in str(caught.value)
    assert "found before the first epoch" in str(caught.value)


def test_a_loss_of_keras_that_is_a_mean_over_labels_is_a_loss_per_row() -> None:
    label = make_label("keras.losses:log_cosh", LABELS)
    model = build_model(Mlp(kind="mlp", hidden=[1]), spec(LABELS))
    rows = batch([2.0, 4.0], [1.0], [1.0, 1.0]) | {"label": tf.constant([[1.0, 0.0], [1.0, 1.0]])}
    check_loss("theirs", label.make_row_losses(), model, rows)


def test_options_that_the_function_does_not_take_are_an_error_of_it() -> None:
    with pytest.raises(TrainError, match=r"failed with TypeError.*'early'"):
        check("asymmetric", early=1.0)


@pytest.mark.parametrize("function", ["nowhere.at_all:x", "tests.train.own_losses:nothing"])
def test_a_function_that_is_not_there_is_named(function: str) -> None:
    with pytest.raises(RecipeError, match=r"train\.loss\.function: .*cannot be imported"):
        check(function)


def test_a_batch_of_padding_alone_says_nothing() -> None:
    check("number", rows=batch([1.0], [1.0], [0.0]))


@pytest.mark.parametrize(
    ("kind", "outputs", "labels"),
    [
        ("binary", [0.5, 1 / (1 + np.exp(-2.0))], [1.0, 0.0]),
        ("count", [1.0, np.exp(2.0)], [3.0, 0.0]),
        ("regression", [5.0, 25.0], [15.0, 5.0]),  # center 5, scale 10
        ("classes", [[0.25] * 4, [0.0, 1.0, 0.0, 0.0]], [2, 1]),
    ],
)
def test_the_function_gets_the_models_output_in_the_labels_own_unit(
    kind: str, outputs: Any, labels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.train import own_losses

    seen = []

    def note(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        seen.append((labels.numpy(), outputs.numpy()))
        return tf.zeros(2)

    monkeypatch.setattr(own_losses, "number", note)
    unit = {"center": 5.0, "scale": 10.0} if kind == "regression" else {}
    classes = ("a", "b", "c", "d") if kind == "classes" else ()
    label = make_label("number", LabelSpec(kind=kind, classes=classes, **unit))
    truth = np.array({"regression": [1.0, 0.0]}.get(kind, labels))
    logits = [[0.0] * 4, [0.0, 99.0, 0.0, 0.0]] if kind == "classes" else [0.0, 2.0]
    dtype = tf.int32 if kind == "classes" else tf.float32
    label.make_row_losses()(tf.constant(truth, dtype), tf.constant(logits))
    network_output = np.array([0.0, 2.0]) if kind == "regression" else np.array(outputs)
    label.compute_mean_loss(network_output, truth)
    for got_labels, got_outputs in seen:
        np.testing.assert_allclose(got_labels, labels)
        np.testing.assert_allclose(got_outputs, outputs, rtol=1e-6, atol=1e-7)
    assert len(seen) == 2


def make_step(label: LabelSpec, batch: dict[str, Any]) -> tuple[float, list[np.ndarray]]:
    model = one_neuron(label=label)
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1))
    optimizer.build(model.trainable_variables)
    options = StepOptions(compute_row_losses=label.make_row_losses(), hides_padding=True)
    step = TrainStep(model, optimizer, SoloCollectives(), label.kind, options)
    return float(step(batch, rate=0.1).loss), model.get_weights()


def test_padding_changes_nothing_where_a_loss_is_not_defined_for_it() -> None:
    """Labels of padding are 0, by which this loss divides: 0 times infinity is no number."""
    label = make_label("undefined_at_0")
    plain = make_step(label, batch([2.0, 4.0], [1.0, 2.0], [1.0, 1.0]))
    padded = make_step(label, batch([0.0, 2.0, 4.0, 0.0], [0.0, 1.0, 2.0, 0.0], [0, 1.0, 1.0, 0]))
    # outputs 0.75 and 1.75: 0.75² / 1 and 1.75² / 2
    assert plain[0] == pytest.approx((0.75**2 + 1.75**2 / 2) / 2, rel=1e-6)
    assert padded[0] == pytest.approx(plain[0], rel=1e-6)
    for one, other in zip(plain[1], padded[1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_rank_with_nothing_but_padding_adds_nothing() -> None:
    label = make_label("undefined_at_0")
    loss, weights = make_step(label, batch([0.0, 0.0], [0.0, 0.0], [0.0, 0.0]))
    assert loss == 0
    for one, other in zip(weights, one_neuron(label=label).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_its_metric_is_its_mean_and_what_is_not_finite_is_an_error() -> None:
    label = make_label("asymmetric", late=2.0)
    rows = {"label": np.array([1.0, 0.0]), "value": np.array([0.0, 3.0])}
    scores = label.definition.make_scorer(rows, label, 0.5)(np.array([3.0, 1.0]))
    assert scores["loss"] == pytest.approx((3 * 2 * 1 + 9) / 4)
    assert scores["mae"] == pytest.approx((3 + 3) / 4)
    bad = make_label("undefined_at_0")
    with pytest.raises(ModelError, match="not finite for 1 of 2 rows"):
        bad.definition.make_scorer(rows, bad, 0.5)
