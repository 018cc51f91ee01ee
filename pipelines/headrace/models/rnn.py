"""Build a recurrent network over the series; other inputs join before the dense layers."""

import keras

from headrace.models.inputs import (
    Tensors,
    flatten_inputs,
    join_features,
    list_series_names,
    make_regularizer,
    stack_series,
)
from headrace.models.mlp import add_hidden_layers
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec


def build_rnn(model: s.Rnn, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """Return the last layer before the head, float32 (batch, units).

    Cells use tanh and sigmoid, and dropout is between layers and not within cells: cuDNN computes
    no others. `model.activation` is that of the dense layers.

    Args:
        model: the recipe's section.
        inputs: Keras inputs by name, of `make_inputs`.
        spec: fitted transform, which names them; its series have one length.
    """
    cell = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[model.cell]
    tensor = stack_series(inputs, spec)
    for number, units in enumerate(model.units):
        layer = cell(
            units,
            return_sequences=number + 1 < len(model.units),
            kernel_initializer=model.initializer,
            kernel_regularizer=make_regularizer(model),
            recurrent_regularizer=make_regularizer(model),
            name=f"{model.cell}.{number}",
        )
        if model.bidirectional:
            layer = keras.layers.Bidirectional(layer, name=f"both.{number}")
        tensor = layer(tensor)
        if model.dropout:
            name = f"{model.cell}.{number}.dropout"
            tensor = keras.layers.Dropout(model.dropout, name=name)(tensor)
    others = flatten_inputs(model, inputs, spec, without=list_series_names(spec))
    return add_hidden_layers(model, join_features([tensor, *others]))
