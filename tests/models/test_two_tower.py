"""The product of two towers, worked out by hand; and what no tower may have."""

from typing import Any

import keras
import numpy as np
import pytest

from headrace.errors import RecipeError
from headrace.models.build import build_logits_model, build_model
from headrace.models.load import load_keras_model
from headrace.models.two_tower import build_vectors_model
from headrace.recipe import sections as s
from tests.models.specs import (
    EVERY,
    HASH,
    NUMBER,
    REGRESSION,
    TOKENS,
    WORD,
    draw_inputs,
    make_spec,
)


def make_section(query: list[str], item: list[str], **keys: Any) -> s.TwoTower:
    towers = {"query": {"features": query}, "item": {"features": item}}
    for tower in towers.values():
        tower["hidden"] = keys.get("hidden", [])  # type: ignore[assignment]
    keys.pop("hidden", None)
    return s.TwoTower.model_validate({"kind": "two_tower", **towers, **keys})


def test_the_score_is_the_product_of_both_vectors_over_the_temperature() -> None:
    section = make_section(["x", "w"], ["h"], vector_width=2, embedding_width=2, temperature=0.5)
    model = build_model(section, make_spec(NUMBER, WORD, HASH))
    table = np.zeros((105, 2), np.float32)
    table[2] = [1, 2]  # the word's id 2
    table[4 + 7] = [3, 0]  # the hash's id 7, after the four rows of words
    model.get_layer("table.2").set_weights([table])
    # the query reads (x, word, word), the item (hash, hash)
    model.get_layer("query.dense").set_weights([np.array([[1.0, 0], [0, 1], [0, 1]]), np.zeros(2)])
    model.get_layer("item.dense").set_weights([np.array([[1.0, 1], [0, 0]]), np.array([0, 1.0])])
    batch = {"numeric": np.array([[4.0]], "f"), "categorical": np.array([[2, 7]], "i4")}
    query, item = np.array([4.0, 3.0]) / 5, np.array([3.0, 4.0]) / 5
    vectors = build_vectors_model(model)(batch)
    np.testing.assert_allclose(vectors[0], [query], rtol=1e-6)
    np.testing.assert_allclose(vectors[1], [item], rtol=1e-6)
    score = query @ item / 0.5
    np.testing.assert_allclose(build_logits_model(model)(batch), [score], rtol=1e-6)
    np.testing.assert_allclose(model(batch), [1 / (1 + np.exp(-score))], rtol=1e-6)
    dot = build_model(
        section.model_copy(update={"similarity": "dot"}), make_spec(NUMBER, WORD, HASH)
    )
    dot.set_weights(model.get_weights())
    np.testing.assert_allclose(build_logits_model(dot)(batch), [25 * score], rtol=1e-6)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("compose_above", [None, 50])
def test_a_vector_depends_on_its_own_tower_alone(shared: bool, compose_above: int | None) -> None:
    query, item = ["x", "w", "tide", "photo"], ["h", "_tags", "wind"]
    embeddings = {"shared": shared, "compose_above": compose_above}
    section = make_section(query, item, hidden=[4], embeddings=embeddings, normalize="layer")
    spec = make_spec(*EVERY)
    vectors = build_vectors_model(build_model(section, spec))
    inputs = draw_inputs(spec, 6)
    before = [np.array(v) for v in vectors(inputs)]
    changed = {name: array.copy() for name, array in inputs.items()}
    for name in ("numeric", "tide", "photo"):
        changed[name] += 1
    changed["categorical"][:, 0] = (changed["categorical"][:, 0] + 1) % 4
    after = [np.array(v) for v in vectors(changed)]
    assert np.abs(before[0] - after[0]).max() > 1e-3
    np.testing.assert_array_equal(before[1], after[1])
    np.testing.assert_allclose((after[0] ** 2).sum(axis=1), 1, rtol=1e-5)


def test_it_is_saved_and_loaded_in_safe_mode(tmp_path: Any) -> None:
    spec = make_spec(*EVERY)
    model = build_model(make_section(["x", "w", "tide", "photo"], ["h", "_tags", "wind"]), spec)
    model.save(tmp_path / "model.keras")
    loaded = load_keras_model(tmp_path / "model.keras", "the model")
    inputs = draw_inputs(spec, 5)
    np.testing.assert_array_equal(loaded(inputs), model(inputs))
    assert isinstance(build_vectors_model(loaded), keras.Model)


def test_a_feature_is_in_one_tower() -> None:
    section = make_section(["x", "v", "w", "w"], ["h", "x"])
    with pytest.raises(RecipeError) as caught:
        build_model(section, make_spec(NUMBER, WORD, HASH, TOKENS))
    text = str(caught.value)
    assert "model.query.features: there is no feature 'v'" in text
    assert "model.query.features: names w more than once" in text
    assert "model.item.features: x is among the query's features, too" in text
    assert "model: _tags is among neither the query's features nor the item's" in text


def test_pairs_are_learnt_by_a_condition() -> None:
    with pytest.raises(RecipeError, match="two_tower learns pairs by a condition"):
        build_model(make_section(["x"], ["w"]), make_spec(NUMBER, WORD, label=REGRESSION))
