"""The cross layers, worked out by hand."""

import keras
import numpy as np

from headrace.models.build import build_model
from headrace.recipe import sections as s
from tests.models.specs import NUMBER, WORD, make_spec


def test_a_cross_layer_multiplies_inputs() -> None:
    """x0 * (W x0 + b) + x0 with W swapping the two inputs: (x y + x, y x + y)."""
    two = (NUMBER, NUMBER.model_copy(update={"name": "second", "column": "second"}))
    model = build_model(s.Dcn(kind="dcn", crosses=1, hidden=[1]), make_spec(*two))
    model.get_layer("cross.0").set_weights([np.array([[0.0, 1], [1, 0]]), np.zeros(2)])
    crossed = keras.Model(model.inputs, model.get_layer("cross.0.added").output)
    output = crossed({"numeric": np.array([[3.0, 5.0]], "f")})
    np.testing.assert_allclose(output, [[15 + 3, 15 + 5]])


def test_crosses_stand_beside_the_dense_layers() -> None:
    model = build_model(s.Dcn(kind="dcn", crosses=3, hidden=[4]), make_spec(NUMBER, WORD))
    assert model.get_layer("cross.2.added").output.shape == (None, 1 + 2)
    assert model.get_layer("cross.deep").output.shape == (None, 1 + 2 + 4)
