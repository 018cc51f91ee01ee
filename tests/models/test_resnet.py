"""The residual network: shapes, and blocks that compute nothing."""

import keras
import numpy as np

from headrace.models.build import build_model
from headrace.recipe.sections import Resnet
from tests.models.specs import IMAGE, NUMBER, draw_inputs, make_spec


def test_a_stage_halves_the_image_and_projects_the_stream() -> None:
    settings = Resnet(kind="resnet", filters=[4, 6], blocks=2, hidden=[3])
    model = build_model(settings, make_spec(IMAGE, NUMBER))
    assert model.get_layer("stem").output.shape == (None, 8, 8, 4)
    assert model.get_layer("stage.0.1.activation").output.shape == (None, 8, 8, 4)
    assert model.get_layer("stage.1.0.activation").output.shape == (None, 4, 4, 6)
    projections = [layer.name for layer in model.layers if layer.name.endswith(".stream")]
    assert projections == ["stage.1.0.stream"]
    assert model.get_layer("mean.pixels").output.shape == (None, 6)
    assert model.get_layer("features.all").output.shape == (None, 6 + 1)


def test_a_block_that_computes_nothing_leaves_the_stream_as_it_was() -> None:
    spec = make_spec(IMAGE)
    model = build_model(Resnet(kind="resnet", filters=[4], blocks=1), spec)
    normalize = model.get_layer("stage.0.0.second.normalize")
    normalize.set_weights([np.zeros_like(w) for w in normalize.get_weights()])
    stream = keras.Model(
        model.input,
        [model.get_layer(n).output for n in ("stem.activation", "stage.0.0.activation")],
    )
    before, after = stream(draw_inputs(spec, 2))
    assert np.abs(before).max() > 0
    np.testing.assert_array_equal(before, after)
