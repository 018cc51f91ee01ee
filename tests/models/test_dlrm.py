"""The dot products of pairs, worked out by hand."""

import keras
import numpy as np
import pytest

from headrace.errors import RecipeError
from headrace.models.build import build_logits_model, build_model
from headrace.recipe import sections as s
from tests.models.specs import HASH, NUMBER, TOKENS, WORD, draw_inputs, make_spec


def test_every_pair_of_vectors_is_multiplied_once() -> None:
    """Numbers, a word, a hash and a list: six products beside the vector of the numbers."""
    spec = make_spec(NUMBER, WORD, HASH, TOKENS)
    section = s.Dlrm(kind="dlrm", bottom=[], hidden=[1], embedding_width=2)
    model = build_model(section, spec)
    # the vector of the numbers is relu(x · (1, 2)) = (3, 6)
    model.get_layer("bottom.0").set_weights([np.array([[1.0, 2.0]]), np.zeros(2)])
    table = np.zeros((105, 2), np.float32)
    table[2] = [1, 1]  # the word's id 2
    table[4 + 7] = [10, 0]  # the hash's id 7, after the four rows of words
    model.get_layer("table.2").set_weights([table])
    model.get_layer("embed._tags").set_weights(
        [np.array([[9.0, 9], [0, 2], [0, 4], [0, 0], [0, 0]])]
    )
    batch = {
        "numeric": np.array([[3.0]], "f"),
        "categorical": np.array([[2, 7]], "i4"),
        "_tags": np.array([[1, 2, 0, 0]], "i4"),  # the mean of (0, 2) and (0, 4) is (0, 3)
    }
    products = keras.Model(model.inputs, model.get_layer("products.all").output)(batch)
    bottom = [3, 6]
    pairs = [
        3 + 6,
        30,
        18,
        10,
        3,
        0,
    ]  # numbers with word, hash, list; word with hash, list; the rest
    np.testing.assert_allclose(products, [[*bottom, *pairs]])
    assert build_logits_model(model)(batch).shape == (1,)


def test_embeddings_have_one_width_and_one_table() -> None:
    model = build_model(s.Dlrm(kind="dlrm", embedding_width=8), make_spec(NUMBER, WORD, HASH))
    table = model.get_layer("table.8")
    assert (table.input_dim, table.output_dim) == (4 + 101, 8)
    assert [layer.units for layer in model.layers if layer.name.startswith("bottom")] == [64, 8]
    assert [layer.units for layer in model.layers if layer.name.startswith("hidden")] == [128, 64]


@pytest.mark.parametrize("features", [(WORD,), (WORD, HASH), (TOKENS,), (NUMBER, TOKENS)])
def test_it_is_built_over_whatever_has_ids(features: tuple) -> None:
    spec = make_spec(*features)
    model = build_model(s.Dlrm(kind="dlrm", hidden=[4]), spec)
    assert np.isfinite(model(draw_inputs(spec, 5))).all()


def test_a_feature_may_have_any_name() -> None:
    names = ("products", "vectors", "vector", "bottom", "numbers", "table")
    features = [TOKENS.model_copy(update={"name": name}) for name in names]
    model = build_model(s.Dlrm(kind="dlrm", hidden=[4]), make_spec(NUMBER, WORD, *features))
    assert {tensor.name for tensor in model.inputs} >= set(names)


def test_without_ids_there_is_nothing_to_multiply() -> None:
    with pytest.raises(
        RecipeError, match="dlrm multiplies embeddings, and there is no categorical"
    ):
        build_model(s.Dlrm(kind="dlrm"), make_spec(NUMBER))


def test_with_top_all_the_dense_layers_get_numbers_and_vectors_too() -> None:
    """The vector of the number, the product of it with the word's, the number, both vectors."""
    spec = make_spec(NUMBER, WORD)
    section = s.Dlrm(kind="dlrm", bottom=[], hidden=[1], embedding_width=2, top="all")
    model = build_model(section, spec)
    model.get_layer("bottom.0").set_weights([np.array([[1.0, 2.0]]), np.zeros(2)])
    table = np.zeros((4, 2), np.float32)
    table[2] = [5, 1]
    model.get_layer("table.2").set_weights([table])
    batch = {"numeric": np.array([[3.0]], "f"), "categorical": np.array([[2]], "i4")}
    top = keras.Model(model.inputs, model.get_layer("products.all").output)(batch)
    np.testing.assert_allclose(top, [[3, 6, 3 * 5 + 6 * 1, 3, 3, 6, 5, 1]])


@pytest.mark.parametrize("features", [(WORD,), (TOKENS,), (WORD, HASH), (NUMBER, WORD, TOKENS)])
def test_top_all_is_built_over_whatever_has_ids(features: tuple) -> None:
    spec = make_spec(*features)
    model = build_model(s.Dlrm(kind="dlrm", hidden=[4], top="all"), spec)
    assert np.isfinite(model(draw_inputs(spec, 5))).all()
