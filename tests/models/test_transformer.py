"""The transformer over series, text and tables, with values that are worked out by hand."""

import keras
import numpy as np
import pytest

from headrace.models.build import build_model
from headrace.recipe import sections as s
from headrace.recipe.sections import Transformer
from tests.models.specs import (
    NUMBER,
    REGRESSION,
    SERIES,
    TOKENS,
    WIND,
    WORD,
    draw_inputs,
    make_spec,
)


def test_series_are_projected_and_positions_are_added() -> None:
    spec = make_spec(SERIES, WIND, label=REGRESSION)
    settings = Transformer(kind="transformer", blocks=1, heads=1, width=2, hidden=[])
    model = build_model(settings, spec)
    project = model.get_layer("project.positions")
    kernel, positions = project.get_weights()
    assert (kernel.shape, positions.shape) == ((2, 2), (6, 2))
    project.set_weights([np.array([[1.0, 0.0], [0.0, 10.0]]), np.arange(12.0).reshape(6, 2)])
    projected = keras.Model(model.input, project.output)
    rows = {"tide": np.full((1, 6), 0.5, np.float32), "wind": np.full((1, 6), 0.25, np.float32)}
    output = projected(rows)[0].numpy()
    np.testing.assert_allclose(
        output, np.arange(12.0).reshape(6, 2) + np.array([0.5, 2.5]), rtol=1e-6
    )


def test_a_transformer_tells_the_order_of_steps_by_its_positions_alone() -> None:
    spec = make_spec(SERIES, label=REGRESSION)
    settings = Transformer(kind="transformer", blocks=2, heads=2, width=8, hidden=[4])
    keras.utils.set_random_seed(4)
    model = build_model(settings, spec)
    rows = draw_inputs(spec, 3)
    backwards = {"tide": rows["tide"][:, ::-1]}
    assert not np.allclose(model(rows), model(backwards), atol=1e-4)
    kernel, positions = model.get_layer("project.positions").get_weights()
    model.get_layer("project.positions").set_weights([kernel, np.zeros_like(positions)])
    np.testing.assert_allclose(model(rows), model(backwards), atol=1e-5)


@pytest.mark.parametrize("pool", ["mean", "last"])
def test_a_transformer_pools_the_mean_or_the_last_step(pool: str) -> None:
    spec = make_spec(SERIES, label=REGRESSION)
    settings = Transformer(
        kind="transformer", blocks=1, heads=1, width=2, hidden=[], pool=pool
    )  # fmt: skip
    model = build_model(settings, spec)
    steps = keras.Model(model.input, model.get_layer("normalize").output)
    rows = draw_inputs(spec, 3)
    of_steps = steps(rows).numpy()
    pooled = of_steps.mean(axis=1) if pool == "mean" else of_steps[:, -1]
    kernel, bias = model.get_layer("output.dense").get_weights()
    np.testing.assert_allclose(model(rows), (pooled @ kernel + bias)[:, 0], rtol=1e-4, atol=1e-6)


def test_transformer_blocks_normalize_first_and_add_to_the_stream() -> None:
    spec = make_spec(SERIES, label=REGRESSION)
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
    before, after = stream(draw_inputs(spec, 3))
    np.testing.assert_array_equal(before, after)
    normalized = keras.Model(model.input, model.get_layer("block.0.attention.normalize").output)
    np.testing.assert_allclose(np.mean(normalized(draw_inputs(spec, 3)), axis=-1), 0, atol=1e-5)


def test_padding_changes_nothing() -> None:
    """Padding is neither attended to nor pooled."""
    for pool in ("mean", "last"):
        model = build_model(
            s.Transformer(kind="transformer", over="text", width=8, heads=2, pool=pool),
            make_spec(TOKENS),
        )
        table = model.get_layer("embed._tags")
        rows = {"_tags": np.array([[2, 3, 0, 0], [0, 0, 0, 0]], np.int32)}
        before = model(rows).numpy()
        weights = table.get_weights()[0]
        weights[0] += 100  # what padding stands for
        table.set_weights([weights])
        np.testing.assert_allclose(model(rows)[0], before[0], atol=1e-6)
        assert np.isfinite(model(rows)).all()


def test_a_table_has_a_vector_per_feature() -> None:
    """A number times one vector plus another, and the embedding of an id."""
    settings = Transformer(kind="transformer", over="table", blocks=1, heads=1, width=2)
    model = build_model(settings, make_spec(NUMBER, WORD))
    model.get_layer("embed.numbers").set_weights([np.array([[1.0, 2.0]]), np.array([[0.5, 0.0]])])
    words = np.array([[0.0, 0], [1, 1], [7, 8], [9, 9]])
    model.get_layer("table.2").set_weights([words])
    vectors = keras.Model(model.input, model.get_layer("features.vectors").output)
    output = vectors({"numeric": np.array([[3.0]], "f"), "categorical": np.array([[2]], "i4")})
    np.testing.assert_allclose(output, [[[3 * 1 + 0.5, 3 * 2], [7, 8]]])
