"""The multi-layer perceptron, with values that are worked out by hand."""

import keras
import numpy as np
import pytest

from headrace.labels.spec import LabelSpec
from headrace.models.build import build_logits_model, build_model
from headrace.recipe.sections import Mlp
from tests.models.specs import IMAGE, NUMBER, make_spec

DIGITS = LabelSpec(kind="classes", classes=tuple("0123456789"))


def test_an_mlp_over_one_image_is_the_classic_dense_network() -> None:
    model = build_model(Mlp(kind="mlp", hidden=[64]), make_spec(IMAGE, label=DIGITS))
    assert [type(layer).__name__ for layer in model.layers] == [
        "InputLayer", "Rescaling", "Flatten", "Dense", "Dense", "Activation",
    ]  # fmt: skip
    assert model.count_params() == 64 * 64 + 64 + 64 * 10 + 10
    hidden, logits = model.layers[3:5]
    assert hidden.activation is keras.activations.relu
    hidden.set_weights([np.eye(64), np.zeros(64)])
    kernel = np.zeros((64, 10))
    kernel[9, 3] = 2.0  # class 3 sees the second pixel of the second row
    logits.set_weights([kernel, np.zeros(10)])
    image = np.zeros((1, 8, 8, 1), np.uint8)
    image[0, 1, 1, 0] = 51  # 0.2 of 255
    expected = np.zeros(10)
    expected[3] = 0.4
    np.testing.assert_allclose(build_logits_model(model)({"photo": image})[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("normalize", "layer"),
    [("batch", keras.layers.BatchNormalization), ("layer", keras.layers.LayerNormalization)],
)
def test_normalization_is_between_a_dense_layer_and_its_activation(
    normalize: str, layer: type
) -> None:
    settings = Mlp(kind="mlp", hidden=[3], normalize=normalize, activation="tanh", dropout=0.5)
    model = build_model(settings, make_spec(NUMBER))
    assert [type(item) for item in model.layers[1:5]] == [
        keras.layers.Dense, layer, keras.layers.Activation, keras.layers.Dropout
    ]  # fmt: skip
    dense, _, activation, dropout = model.layers[1:5]
    assert dense.activation is keras.activations.linear
    assert activation.activation is keras.activations.tanh
    assert dropout.rate == 0.5
