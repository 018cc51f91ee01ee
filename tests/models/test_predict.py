"""Predictions of the rows that count, with the columns beside them."""

import numpy as np
import pytest

from headrace.models.build import build_model
from headrace.models.predict import predict_batches
from headrace.recipe.sections import Mlp
from headrace.transform.spec import LabelSpec
from tests.models.specs import BINARY, CLASSES, EVERY, REGRESSION, inputs_of, spec_of


@pytest.mark.parametrize(
    ("label", "output"),
    [(BINARY, "probability"), (CLASSES, "probabilities"), (REGRESSION, "value")],
)
def test_padding_is_left_out(label: LabelSpec, output: str) -> None:
    spec = spec_of(*EVERY, label=label)
    model = build_model(Mlp(kind="mlp", hidden=[4]), spec)
    inputs = inputs_of(spec, 6)
    padded = {
        **inputs,
        "label": np.arange(6),
        "weight": np.array([1, 0, 1, 1, 0, 0], np.float32),
        "row_id": np.arange(10, 16),
    }
    found = predict_batches(model, [padded, padded])
    expected = model(inputs).numpy()[[0, 2, 3, 0, 2, 3]]
    np.testing.assert_allclose(found[output], expected, rtol=1e-5)
    assert found["label"].tolist() == [0, 2, 3, 0, 2, 3]
    assert found["row_id"].tolist() == [10, 12, 13, 10, 12, 13]
    assert sorted(found) == sorted([output, "label", "row_id"])
