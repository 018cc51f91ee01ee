"""The linear model of wide and deep, worked out by hand."""

import numpy as np

from headrace.models.build import build_logits_model, build_model
from headrace.recipe import sections as s
from tests.models.specs import NUMBER, WORD, make_spec


def test_wide_and_deep_by_hand() -> None:
    """Logit = deep + 2 x + the id's own weight."""
    model = build_model(s.WideDeep(kind="wide_deep", hidden=[1]), make_spec(NUMBER, WORD))
    model.get_layer("wide.1").set_weights([np.array([[0.0], [1.0], [10.0], [100.0]])])
    deep = model.get_layer("hidden.0")
    deep.set_weights([np.zeros_like(w) for w in deep.get_weights()])
    model.get_layer("output.dense").set_weights([np.array([[5.0], [2.0], [1.0]]), np.zeros(1)])
    output = build_logits_model(model)(
        {"numeric": np.array([[3.0], [4.0]], "f"), "categorical": np.array([[2], [3]], "i4")}
    )
    np.testing.assert_allclose(output, [2 * 3 + 10, 2 * 4 + 100])
