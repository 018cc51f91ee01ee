"""Multi-layer perceptron: all inputs flat and side by side, then dense layers."""

import keras

from headrace.models.inputs import Tensors, flat_inputs, regularizer, side_by_side
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec


def mlp(model: s.Mlp, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """The last hidden layer, float32 (batch, hidden[-1])."""
    return hidden_layers(model, side_by_side(flat_inputs(model, inputs, spec)))


def hidden_layers(model: s.Model, tensor: keras.KerasTensor) -> keras.KerasTensor:
    """The dense layers `model.hidden`, each normalized and with dropout as the recipe says."""
    for number, units in enumerate(model.hidden):
        name = f"hidden.{number}"
        plain = model.normalize == "none"
        tensor = keras.layers.Dense(
            units,
            activation=model.activation if plain else None,
            kernel_initializer=model.initializer,
            kernel_regularizer=regularizer(model),
            name=name,
        )(tensor)
        if not plain:
            tensor = normalized(model, tensor, name)
            tensor = keras.layers.Activation(model.activation, name=f"{name}.activation")(tensor)
        if model.dropout:
            tensor = keras.layers.Dropout(model.dropout, name=f"{name}.dropout")(tensor)
    return tensor


def normalized(model: s.Model, tensor: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Batch or layer normalization, as the recipe says."""
    if model.normalize == "batch":
        return keras.layers.BatchNormalization(name=f"{name}.normalize")(tensor)
    return keras.layers.LayerNormalization(name=f"{name}.normalize")(tensor)
