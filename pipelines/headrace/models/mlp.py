"""Build a multi-layer perceptron: all inputs flat and side by side, then dense layers."""

from collections.abc import Sequence

import keras

from headrace.models.inputs import Tensors, flatten_inputs, join_features, make_regularizer
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec


def build_mlp(model: s.Mlp, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """Return the last hidden layer, float32 (batch, hidden[-1]).

    Args:
        model: the recipe's section.
        inputs: Keras inputs by name, of `make_inputs`.
        spec: fitted transform, which names them.
    """
    return add_hidden_layers(model, join_features(flatten_inputs(model, inputs, spec)))


def add_hidden_layers(
    model: s.Model,
    tensor: keras.KerasTensor,
    sizes: Sequence[int] | None = None,
    prefix: str = "hidden",
) -> keras.KerasTensor:
    """Add dense layers, each with normalization and dropout as the recipe says.

    Args:
        model: the recipe's section.
        tensor: float32 (batch, columns).
        sizes: units of each layer; those of `model.hidden` where it is None.
        prefix: of the layers' names.
    """
    has_normalization = model.normalize != "none"
    if sizes is None:
        assert not isinstance(model, s.TwoTower)  # its towers have sizes of their own
        sizes = model.hidden
    for number, units in enumerate(sizes):
        name = f"{prefix}.{number}"
        tensor = keras.layers.Dense(
            units,
            activation=None if has_normalization else model.activation,
            kernel_initializer=model.initializer,
            kernel_regularizer=make_regularizer(model),
            name=name,
        )(tensor)
        if has_normalization:
            tensor = add_normalization(model, tensor, name)
            tensor = keras.layers.Activation(model.activation, name=f"{name}.activation")(tensor)
        if model.dropout:
            tensor = keras.layers.Dropout(model.dropout, name=f"{name}.dropout")(tensor)
    return tensor


def add_normalization(model: s.Model, tensor: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Add batch or layer normalization, as the recipe says."""
    if model.normalize == "batch":
        return keras.layers.BatchNormalization(name=f"{name}.normalize")(tensor)
    return keras.layers.LayerNormalization(name=f"{name}.normalize")(tensor)
