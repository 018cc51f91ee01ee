"""Predictions of all rows but padding, together with their other columns."""

import numpy as np
import pytest
import tensorflow as tf

from headrace.labels.spec import LabelSpec
from headrace.models.build import build_model
from headrace.models.predict import Predictor, place_on_cpu
from headrace.recipe.sections import Mlp
from tests.models.specs import BINARY, CLASSES, EVERY, NUMBER, REGRESSION, draw_inputs, make_spec


@pytest.mark.parametrize(
    ("label", "output"),
    [(BINARY, "probability"), (CLASSES, "probabilities"), (REGRESSION, "value")],
)
def test_padding_rows_are_left_out(label: LabelSpec, output: str) -> None:
    spec = make_spec(*EVERY, label=label)
    model = build_model(Mlp(kind="mlp", hidden=[4]), spec)
    inputs = draw_inputs(spec, 6)
    padded = {
        **inputs,
        "label": np.arange(6),
        "weight": np.array([1, 0, 1, 1, 0, 0], np.float32),
        "row_id": np.arange(10, 16),
    }
    rows = Predictor(model)([padded, padded])
    expected = model(inputs).numpy()[[0, 2, 3, 0, 2, 3]]
    np.testing.assert_allclose(rows[output], expected, rtol=1e-5)
    assert rows["label"].tolist() == [0, 2, 3, 0, 2, 3]
    assert rows["row_id"].tolist() == [10, 12, 13, 10, 12, 13]
    assert sorted(rows) == sorted([output, "label", "row_id"])


def test_rows_in_memory_are_predicted_in_order_in_several_calls() -> None:
    spec = make_spec(NUMBER, label=REGRESSION)
    model = build_model(Mlp(kind="mlp", hidden=[1]), spec)
    model.set_weights([np.ones((1, 1)), np.zeros(1), np.full((1, 1), 2.0), np.ones(1)])
    numbers = np.arange(5000, dtype=np.float32)[:, None]
    output = Predictor(model).predict_inputs({"numeric": numbers, "not an input": numbers})
    np.testing.assert_array_equal(output, 2 * numbers[:, 0] + 1)


def test_the_cpu_computes_within_the_context() -> None:
    with place_on_cpu():
        assert "CPU:0" in (tf.constant(1.0) + 1).device
