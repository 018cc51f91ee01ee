"""The user's own function: what it gets, and what it must not return."""

import keras
import numpy as np
import pytest

from headrace.errors import RecipeError
from headrace.models.build import build_model
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec
from tests.models.specs import IMAGE, NUMBER, REGRESSION, make_spec


def return_number(inputs: dict, spec: TransformSpec) -> int:
    return 1


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nowhere.at_all:x", "cannot be imported"),
        (f"{__name__}:nothing", "cannot be imported"),
        (f"{__name__}:return_number", "returned int, expected a Keras tensor"),
    ],
)
def test_a_function_that_is_wrong_is_named(function: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_model(s.Python(kind="python", function=function), make_spec(NUMBER))


def return_image(inputs: dict, spec: TransformSpec) -> keras.KerasTensor:
    return inputs["photo"]


def multiply(inputs: dict, spec: TransformSpec, factor: float) -> keras.KerasTensor:
    assert set(inputs) == set(spec.inputs)
    return inputs["numeric"] * factor


def test_a_tensor_of_another_shape_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"returned \(None, 8, 8, 1\), expected a Keras tensor"):
        build_model(s.Python(kind="python", function=f"{__name__}:return_image"), make_spec(IMAGE))


def test_the_function_gets_inputs_and_options_and_the_dense_layers_follow() -> None:
    settings = s.Python(
        kind="python", function=f"{__name__}:multiply", options={"factor": 10.0}, hidden=[1]
    )
    model = build_model(settings, make_spec(NUMBER, label=REGRESSION))
    model.set_weights([np.ones((1, 1)), np.ones(1), np.ones((1, 1)), np.zeros(1)])
    np.testing.assert_allclose(model({"numeric": np.array([[2.0]], "f")}), [2 * 10 + 1])
