"""The user's own network: a function by its name."""

import importlib

import keras

from headrace.errors import Problem, RecipeError
from headrace.models.inputs import Tensors
from headrace.models.mlp import hidden_layers
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec


def own(model: s.Python, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """What `function(inputs, spec, **options)` gives, through the dense layers `hidden`.

    The function gets a dict of Keras tensors, one for every one of `spec.inputs`, and gives float32
    (batch, columns). Of layers that are not Keras's own the registered model knows nothing more
    when it is loaded in safe mode; use standard ones.

    Raises:
        RecipeError: there is no such function, or it gives something else.
    """
    module, _, name = model.function.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise _wrong(f"{model.function} cannot be imported: {error}", "see PYTHONPATH") from None
    found = function(dict(inputs), spec, **model.options)
    if not isinstance(found, keras.KerasTensor) or len(found.shape) != 2:
        what = getattr(found, "shape", type(found).__name__)
        raise _wrong(f"{model.function} gave {what}, expected a Keras tensor (batch, columns)", "")
    return hidden_layers(model, found)


def _wrong(what: str, fix: str) -> RecipeError:
    return RecipeError("(model python)", [Problem("model.function", what, fix)])
