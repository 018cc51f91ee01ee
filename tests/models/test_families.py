"""The families' own layers: shapes, and values that are worked out by hand."""

import keras
import numpy as np
import pytest

from headrace.models.build import build_model, logits_of
from headrace.models.inputs import embedding_width
from headrace.recipe.sections import Cnn, Mlp, Rnn, Transformer
from headrace.transform.spec import ImageFeature, LabelSpec
from tests.models.specs import (
    HASH,
    IMAGE,
    NUMBER,
    REGRESSION,
    SERIES,
    TOKENS,
    WIND,
    WORD,
    inputs_of,
    spec_of,
)

DIGITS = LabelSpec(kind="classes", classes=tuple("0123456789"))


def names(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def test_an_mlp_over_one_image_is_the_classic_dense_network() -> None:
    model = build_model(Mlp(kind="mlp", hidden=[64]), spec_of(IMAGE, label=DIGITS))
    assert names(model) == [
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
    np.testing.assert_allclose(logits_of(model)({"photo": image})[0], expected, rtol=1e-6)


@pytest.mark.parametrize(("cardinality", "width"), [(2, 2), (9, 3), (10, 4), (10_000, 16)])
def test_embedding_width(cardinality: int, width: int) -> None:
    assert embedding_width(cardinality, 16) == width


def test_one_embedding_a_categorical_beside_the_numbers() -> None:
    model = build_model(Mlp(kind="mlp", hidden=[1]), spec_of(NUMBER, WORD, HASH))
    word, crossed = model.get_layer("embed.w"), model.get_layer("embed.h")
    assert (word.input_dim, word.output_dim) == (4, 2)
    assert (crossed.input_dim, crossed.output_dim) == (101, 11)
    assert model.get_layer("features.all").output.shape == (None, 1 + 2 + 11)


def test_tokens_are_the_mean_of_their_embeddings_without_padding() -> None:
    model = build_model(Mlp(kind="mlp", hidden=[1]), spec_of(TOKENS, label=REGRESSION))
    table = np.array([[100.0, 100, 100], [1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 2, 2]])
    model.get_layer("embed._tags").set_weights([table])
    model.get_layer("hidden.0").set_weights([np.array([[1.0], [10.0], [100.0]]), np.zeros(1)])
    model.get_layer("output.dense").set_weights([np.ones((1, 1)), np.zeros(1)])
    ids = np.array([[1, 2, 0, 0], [4, 0, 0, 0], [0, 0, 0, 0], [3, 3, 3, 1]], np.int32)
    # means (0.5, 0.5, 0), (2, 2, 2), nothing, (0.25, 0, 0.75)
    np.testing.assert_allclose(model({"_tags": ids}), [5.5, 222.0, 0.0, 75.25], rtol=1e-6)


def test_cnn_blocks_pool_while_there_is_room() -> None:
    model = build_model(
        Cnn(kind="cnn", filters=[2, 3, 4, 5, 6], hidden=[7]), spec_of(IMAGE, NUMBER)
    )
    assert names(model).count("Conv2D") == 10
    assert names(model).count("MaxPooling2D") == 3  # 8 x 8 to 4, 2 and 1
    assert model.get_layer("flat.photo").output.shape == (None, 6)
    assert model.get_layer("features.all").output.shape == (None, 7)
    oblong = ImageFeature(name="photo", column="photo", height=2, width=9, channels=3)
    model = build_model(Cnn(kind="cnn", filters=[2, 3]), spec_of(oblong))
    assert model.get_layer("flat.photo").output.shape == (None, 1 * 4 * 3)


def test_a_convolution_finds_its_pattern_wherever_it_is() -> None:
    spec = spec_of(ImageFeature(name="photo", column="photo", height=8, width=8, channels=1))
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
    np.testing.assert_allclose(logits_of(model)({"photo": image}), [1.0, 0.4], rtol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_rnn_reads_all_series_step_by_step(cell: str) -> None:
    spec = spec_of(SERIES, WIND, NUMBER)
    model = build_model(Rnn(kind="rnn", cell=cell, units=[5, 3], hidden=[]), spec)
    gates = {"lstm": 4, "gru": 3}[cell]
    assert model.get_layer(f"{cell}.0").get_weights()[0].shape == (2, 5 * gates)
    assert model.get_layer(f"{cell}.0").output.shape == (None, 6, 5)
    assert model.get_layer(f"{cell}.1").output.shape == (None, 3)
    assert model.get_layer("features.all").output.shape == (None, 3 + 1)
    rows = inputs_of(spec, 4)
    backwards = {**rows, "tide": rows["tide"][:, ::-1]}
    assert not np.allclose(model(rows), model(backwards), atol=1e-6)


def test_series_are_stacked_in_the_order_of_the_features() -> None:
    spec = spec_of(SERIES, WIND, label=REGRESSION)
    settings = Transformer(kind="transformer", blocks=1, heads=1, width=2, hidden=[])
    model = build_model(settings, spec)
    project = model.get_layer("project.positions")
    kernel, positions = project.get_weights()
    assert (kernel.shape, positions.shape) == ((2, 2), (6, 2))
    project.set_weights([np.array([[1.0, 0.0], [0.0, 10.0]]), np.arange(12.0).reshape(6, 2)])
    projected = keras.Model(model.input, project.output)
    rows = {"tide": np.full((1, 6), 0.5, np.float32), "wind": np.full((1, 6), 0.25, np.float32)}
    found = projected(rows)[0].numpy()
    np.testing.assert_allclose(
        found, np.arange(12.0).reshape(6, 2) + np.array([0.5, 2.5]), rtol=1e-6
    )


def test_a_transformer_tells_the_order_of_steps_by_its_positions_alone() -> None:
    spec = spec_of(SERIES, label=REGRESSION)
    settings = Transformer(kind="transformer", blocks=2, heads=2, width=8, hidden=[4])
    keras.utils.set_random_seed(4)
    model = build_model(settings, spec)
    rows = inputs_of(spec, 3)
    backwards = {"tide": rows["tide"][:, ::-1]}
    assert not np.allclose(model(rows), model(backwards), atol=1e-4)
    kernel, positions = model.get_layer("project.positions").get_weights()
    model.get_layer("project.positions").set_weights([kernel, np.zeros_like(positions)])
    np.testing.assert_allclose(model(rows), model(backwards), atol=1e-5)


@pytest.mark.parametrize("pool", ["mean", "last"])
def test_a_transformer_pools_the_mean_or_the_last_step(pool: str) -> None:
    spec = spec_of(SERIES, label=REGRESSION)
    settings = Transformer(
        kind="transformer", blocks=1, heads=1, width=2, hidden=[], pool=pool
    )  # fmt: skip
    model = build_model(settings, spec)
    steps = keras.Model(model.input, model.get_layer("normalize").output)
    rows = inputs_of(spec, 3)
    of_steps = steps(rows).numpy()
    pooled = of_steps.mean(axis=1) if pool == "mean" else of_steps[:, -1]
    kernel, bias = model.get_layer("output.dense").get_weights()
    np.testing.assert_allclose(model(rows), (pooled @ kernel + bias)[:, 0], rtol=1e-4, atol=1e-6)


def test_transformer_blocks_normalize_first_and_add_to_the_stream() -> None:
    spec = spec_of(SERIES, label=REGRESSION)
    settings = Transformer(kind="transformer", blocks=1, heads=2, width=4, hidden=[])
    model = build_model(settings, spec)
    for name in ("block.0.attention", "block.0.dense.wide", "block.0.dense.narrow"):
        layer = model.get_layer(name)
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    # blocks that compute nothing leave the stream as it was projected
    stream = keras.Model(
        model.input,
        [model.get_layer(n).output for n in ("project.positions", "block.0.dense.added")],
    )
    before, after = stream(inputs_of(spec, 3))
    np.testing.assert_array_equal(before, after)
    normalized = keras.Model(model.input, model.get_layer("block.0.attention.normalize").output)
    np.testing.assert_allclose(np.mean(normalized(inputs_of(spec, 3)), axis=-1), 0, atol=1e-5)
