"""The recurrent network over series: shapes and the order of steps."""

import keras
import numpy as np
import pytest

from headrace.models.build import build_model
from headrace.recipe.sections import Rnn
from tests.models.specs import NUMBER, SERIES, WIND, draw_inputs, make_spec


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_rnn_reads_all_series_step_by_step(cell: str) -> None:
    spec = make_spec(SERIES, WIND, NUMBER)
    model = build_model(Rnn(kind="rnn", cell=cell, units=[5, 3], hidden=[]), spec)
    gates = {"lstm": 4, "gru": 3}[cell]
    assert model.get_layer(f"{cell}.0").get_weights()[0].shape == (2, 5 * gates)
    assert model.get_layer(f"{cell}.0").output.shape == (None, 6, 5)
    assert model.get_layer(f"{cell}.1").output.shape == (None, 3)
    assert model.get_layer("features.all").output.shape == (None, 3 + 1)
    rows = draw_inputs(spec, 4)
    backwards = {**rows, "tide": rows["tide"][:, ::-1]}
    assert not np.allclose(model(rows), model(backwards), atol=1e-6)


def test_a_bidirectional_layer_has_two_cells() -> None:
    spec = make_spec(SERIES)
    settings = Rnn(kind="rnn", units=[4, 3], hidden=[], bidirectional=True, dropout=0.5)
    model = build_model(settings, spec)
    assert model.get_layer("both.0").output.shape == (None, 6, 2 * 4)
    assert model.get_layer("both.1").output.shape == (None, 2 * 3)
    assert model.get_layer("gru.1.dropout").rate == 0.5


def test_cells_use_tanh_and_dense_layers_the_activation_of_the_recipe() -> None:
    settings = Rnn(kind="rnn", units=[4], hidden=[3], activation="gelu")
    model = build_model(settings, make_spec(SERIES))
    assert model.get_layer("gru.0").activation is keras.activations.tanh
    assert model.get_layer("hidden.0").activation is keras.activations.gelu
