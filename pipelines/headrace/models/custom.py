"""Build the user's own network, by a function that the recipe names."""

import keras

from headrace.errors import Problem, RecipeError
from headrace.models.inputs import Tensors
from headrace.models.mlp import add_hidden_layers
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec
from headrace.user_function import import_function


def build_custom(model: s.Python, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """Return the output of `function(inputs, spec, **options)` after the dense layers `hidden`.

    The function gets a dict of Keras tensors, one for every one of `spec.inputs`, and returns
    float32 (batch, columns). It uses Keras's own layers, or layers that its module registers with
    Keras (`keras.saving.register_keras_serializable`): the registered model is loaded in safe mode,
    which knows no others.

    Args:
        model: the recipe's section.
        inputs: Keras inputs by name, of `make_inputs`.
        spec: fitted transform, which names them.

    Raises:
        RecipeError: there is no such function, or it returns something else.
    """
    function = import_function(model.function, "model.function")
    output = function(dict(inputs), spec, **model.options)
    if not isinstance(output, keras.KerasTensor) or len(output.shape) != 2:
        shown = getattr(output, "shape", type(output).__name__)
        raise _make_function_error(
            f"{model.function} returned {shown}, expected a Keras tensor (batch, columns)"
        )
    return add_hidden_layers(model, output)


def _make_function_error(message: str) -> RecipeError:
    problem = Problem("model.function", message)
    return RecipeError("section model (kind python)", [problem], "no model was built")
