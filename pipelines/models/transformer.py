"""Transformer encoder over the series; the other inputs join before the dense layers.

Vaswani et al. 2017, with the normalization in front of every part (Xiong et al. 2020), which trains
without a warm-up of the learning rate.
"""

import keras

from pipelines.models.inputs import Tensors, flat_inputs, regularizer, side_by_side
from pipelines.models.mlp import hidden_layers
from pipelines.models.series import series_names, stacked_series
from pipelines.recipe import sections as s
from pipelines.transform.spec import TransformSpec

# Width of the two dense layers of a block over that of the residual stream, as in Vaswani et al.
_EXPANSION = 4
# Of the initial positional encoding, as in BERT (Devlin et al. 2019).
_POSITION_DEVIATION = 0.02


def transformer(model: s.Transformer, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """The last layer before the head, float32 (batch, units)."""
    series = stacked_series(inputs, spec)
    # A projection whose bias is one vector a step: that bias is the learnt positional encoding.
    tensor = keras.layers.EinsumDense(
        "bts,sw->btw",
        output_shape=(series.shape[1], model.width),
        bias_axes="tw",
        kernel_initializer=model.initializer,
        bias_initializer=keras.initializers.RandomNormal(stddev=_POSITION_DEVIATION),
        kernel_regularizer=regularizer(model),
        name="project.positions",
    )(series)
    for number in range(model.blocks):
        tensor = _block(model, tensor, f"block.{number}")
    tensor = keras.layers.LayerNormalization(name="normalize")(tensor)
    if model.pool == "last":
        pooled = tensor[:, -1, :]
    else:
        pooled = keras.layers.GlobalAveragePooling1D(name="mean.steps")(tensor)
    others = flat_inputs(model, inputs, spec, without=series_names(spec))
    return hidden_layers(model, side_by_side([pooled, *others]))


def _block(model: s.Transformer, tensor: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Self-attention, then two dense layers, each added to the stream (batch, steps, width)."""
    dense = {"kernel_initializer": model.initializer}
    part = keras.layers.LayerNormalization(name=f"{name}.attention.normalize")(tensor)
    part = keras.layers.MultiHeadAttention(
        model.heads,
        model.width // model.heads,
        dropout=model.dropout,
        kernel_regularizer=regularizer(model),
        name=f"{name}.attention",
        **dense,
    )(part, part)
    tensor = _added(model, tensor, part, f"{name}.attention")
    part = keras.layers.LayerNormalization(name=f"{name}.dense.normalize")(tensor)
    part = keras.layers.Dense(
        _EXPANSION * model.width,
        activation=model.activation,
        kernel_regularizer=regularizer(model),
        name=f"{name}.dense.wide",
        **dense,
    )(part)
    part = keras.layers.Dense(
        model.width, kernel_regularizer=regularizer(model), name=f"{name}.dense.narrow", **dense
    )(part)
    return _added(model, tensor, part, f"{name}.dense")


def _added(
    model: s.Transformer, stream: keras.KerasTensor, part: keras.KerasTensor, name: str
) -> keras.KerasTensor:
    if model.dropout:
        part = keras.layers.Dropout(model.dropout, name=f"{name}.dropout")(part)
    return keras.layers.Add(name=f"{name}.added")([stream, part])
