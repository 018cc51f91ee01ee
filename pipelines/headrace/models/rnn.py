"""Recurrent network over the series; the other inputs join before the dense layers."""

import keras

from headrace.models.inputs import (
    Tensors,
    flat_inputs,
    regularizer,
    series_names,
    side_by_side,
    stacked_series,
)
from headrace.models.mlp import hidden_layers
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec


def rnn(model: s.Rnn, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """The last layer before the head, float32 (batch, units).

    Cells keep tanh and sigmoid, and dropout stands between layers and not within cells: cuDNN has
    no other. `model.activation` is that of the dense layers.
    """
    cell = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[model.cell]
    tensor = stacked_series(inputs, spec)
    for number, units in enumerate(model.units):
        layer = cell(
            units,
            return_sequences=number + 1 < len(model.units),
            kernel_initializer=model.initializer,
            kernel_regularizer=regularizer(model),
            recurrent_regularizer=regularizer(model),
            name=f"{model.cell}.{number}",
        )
        if model.bidirectional:
            layer = keras.layers.Bidirectional(layer, name=f"both.{number}")
        tensor = layer(tensor)
        if model.dropout:
            name = f"{model.cell}.{number}.dropout"
            tensor = keras.layers.Dropout(model.dropout, name=name)(tensor)
    others = flat_inputs(model, inputs, spec, without=series_names(spec))
    return hidden_layers(model, side_by_side([tensor, *others]))
