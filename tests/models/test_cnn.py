"""The convolutional network: shapes, and values that are worked out by hand."""

import numpy as np

from headrace.features.image import ImageFeature
from headrace.models.build import build_logits_model, build_model
from headrace.recipe.sections import Cnn
from tests.models.specs import IMAGE, NUMBER, make_spec


def test_cnn_blocks_pool_while_there_is_room() -> None:
    model = build_model(
        Cnn(kind="cnn", filters=[2, 3, 4, 5, 6], hidden=[7]), make_spec(IMAGE, NUMBER)
    )
    layers = [type(layer).__name__ for layer in model.layers]
    assert layers.count("Conv2D") == 10
    assert layers.count("MaxPooling2D") == 3  # 8 x 8 to 4, 2 and 1
    assert model.get_layer("flat.photo").output.shape == (None, 6)
    assert model.get_layer("features.all").output.shape == (None, 7)
    oblong = ImageFeature(name="photo", column="photo", height=2, width=9, channels=3)
    model = build_model(Cnn(kind="cnn", filters=[2, 3]), make_spec(oblong))
    assert model.get_layer("flat.photo").output.shape == (None, 1 * 4 * 3)


def test_a_convolution_finds_its_pattern_wherever_it_is() -> None:
    spec = make_spec(ImageFeature(name="photo", column="photo", height=8, width=8, channels=1))
    model = build_model(Cnn(kind="cnn", filters=[1], hidden=[]), spec)
    edge = np.zeros((3, 3, 1, 1))
    edge[1, 0], edge[1, 1] = -1.0, 1.0  # brighter than the left neighbour
    identity = np.zeros((3, 3, 1, 1))
    identity[1, 1] = 1.0
    model.get_layer("block.0.convolution.0").set_weights([edge, np.zeros(1)])
    model.get_layer("block.0.convolution.1").set_weights([identity, np.zeros(1)])
    model.get_layer("output.dense").set_weights([np.ones((16, 1)), np.zeros(1)])
    image = np.zeros((2, 8, 8, 1), np.uint8)
    image[0, 2, 3:] = 255  # one edge, in one pooled cell
    image[1, 2, 3:] = image[1, 5, 1:] = 51  # two, a fifth as high
    np.testing.assert_allclose(build_logits_model(model)({"photo": image}), [1.0, 0.4], rtol=1e-5)
