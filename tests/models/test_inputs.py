"""Inputs that a family flattens: embeddings, means of tokens, scaled images."""

import keras
import numpy as np
import pytest

from headrace.models.build import build_model
from headrace.models.inputs import (
    flatten_inputs,
    list_series_names,
    make_inputs,
    make_regularizer,
    stack_series,
)
from headrace.models.table_plans import choose_embedding_width
from headrace.recipe.sections import Mlp
from tests.models.specs import (
    EVERY,
    HASH,
    IMAGE,
    NUMBER,
    REGRESSION,
    SERIES,
    TOKENS,
    WIND,
    WORD,
    draw_inputs,
    make_spec,
)


@pytest.mark.parametrize(("cardinality", "width"), [(2, 2), (9, 3), (10, 4), (10_000, 16)])
def test_the_width_of_an_embedding_is_the_root_of_its_ids(cardinality: int, width: int) -> None:
    assert choose_embedding_width(cardinality, 16) == width


def test_a_table_per_width_beside_the_numbers() -> None:
    model = build_model(Mlp(kind="mlp", hidden=[1]), make_spec(NUMBER, WORD, HASH))
    word, crossed = model.get_layer("table.2"), model.get_layer("table.11")
    assert (word.input_dim, word.output_dim) == (4, 2)
    assert (crossed.input_dim, crossed.output_dim) == (101, 11)
    assert model.get_layer("features.all").output.shape == (None, 1 + 2 + 11)


def test_tokens_are_the_mean_of_their_embeddings_without_padding() -> None:
    model = build_model(Mlp(kind="mlp", hidden=[1]), make_spec(TOKENS, label=REGRESSION))
    table = np.array([[100.0, 100, 100], [1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 2, 2]])
    model.get_layer("embed._tags").set_weights([table])
    model.get_layer("hidden.0").set_weights([np.array([[1.0], [10.0], [100.0]]), np.zeros(1)])
    model.get_layer("output.dense").set_weights([np.ones((1, 1)), np.zeros(1)])
    ids = np.array([[1, 2, 0, 0], [4, 0, 0, 0], [0, 0, 0, 0], [3, 3, 3, 1]], np.int32)
    # means (0.5, 0.5, 0), (2, 2, 2), nothing, (0.25, 0, 0.75)
    np.testing.assert_allclose(model({"_tags": ids}), [5.5, 222.0, 0.0, 75.25], rtol=1e-6)


def test_inputs_are_left_out_by_name() -> None:
    spec = make_spec(*EVERY)
    inputs = make_inputs(spec)
    settings = Mlp(kind="mlp", hidden=[1])
    widths = [t.shape[1] for t in flatten_inputs(settings, inputs, spec)]
    assert widths == [1, 2, 11, 3, 6, 6, 64]  # x, w, h, tags, tide, wind, photo
    without = ("categorical", "tide", "photo")
    rest = flatten_inputs(settings, inputs, spec, without=without)
    assert [t.shape[1] for t in rest] == [1, 3, 6]


def test_images_are_scaled_to_0_to_1() -> None:
    spec = make_spec(IMAGE)
    inputs = make_inputs(spec)
    (flat,) = flatten_inputs(Mlp(kind="mlp", hidden=[1]), inputs, spec)
    image = np.full((1, 8, 8, 1), 51, np.uint8)
    np.testing.assert_allclose(
        keras.Model(inputs, flat)({"photo": image}), np.full((1, 64), 0.2), rtol=1e-6
    )


def test_series_are_stacked_in_the_order_of_the_features() -> None:
    spec = make_spec(WIND, SERIES)
    inputs = make_inputs(spec)
    stack = keras.Model(inputs, stack_series(inputs, spec))
    rows = draw_inputs(spec, 2)
    assert list_series_names(spec) == ("wind", "tide")
    np.testing.assert_array_equal(stack(rows), np.stack([rows["wind"], rows["tide"]], axis=-1))


def test_kernels_are_regularized_where_the_recipe_says_so() -> None:
    assert make_regularizer(Mlp(kind="mlp")) is None
    regularizer = make_regularizer(Mlp(kind="mlp", l1=0.25, l2=0.5))
    assert float(regularizer(np.array([[3.0, -1.0]], "f"))) == pytest.approx(0.25 * 4 + 0.5 * 10)
