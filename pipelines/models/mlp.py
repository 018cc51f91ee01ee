"""Multi-layer perceptron: all inputs flat and side by side, then dense layers."""

import keras

from pipelines.models.inputs import Tensors, flat_inputs, regularizer, side_by_side
from pipelines.recipe import sections as s
from pipelines.transform.spec import TransformSpec


def mlp(model: s.Mlp, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """The last hidden layer, float32 (batch, hidden[-1])."""
    return hidden_layers(model, side_by_side(flat_inputs(model, inputs, spec)))


def hidden_layers(model: s.Model, tensor: keras.KerasTensor) -> keras.KerasTensor:
    """The dense layers `model.hidden`, with dropout after each; `tensor` where there are none."""
    for number, units in enumerate(model.hidden):
        tensor = keras.layers.Dense(
            units,
            activation=model.activation,
            kernel_initializer=model.initializer,
            kernel_regularizer=regularizer(model),
            name=f"hidden.{number}",
        )(tensor)
        if model.dropout:
            tensor = keras.layers.Dropout(model.dropout, name=f"hidden.{number}.dropout")(tensor)
    return tensor
