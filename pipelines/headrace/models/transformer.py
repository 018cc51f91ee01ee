"""Transformer encoder over series, text or a table; the other inputs join before the dense layers.

Vaswani et al. 2017, with the normalization in front of every part (Xiong et al. 2020), which trains
without a warm-up of the learning rate.
"""

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
from headrace.transform.spec import TokensFeature, TransformSpec

# Width of the two dense layers of a block over that of the residual stream, as in Vaswani et al.
_EXPANSION = 4
# Of the initial positional encoding, as in BERT (Devlin et al. 2019).
_POSITION_DEVIATION = 0.02


def transformer(model: s.Transformer, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """The last layer before the head, float32 (batch, units)."""
    there: keras.KerasTensor | None = None
    read: tuple[str, ...] = ("numeric", "categorical")
    if model.over == "series":
        tensor, read = _of_series(model, stacked_series(inputs, spec)), series_names(spec)
    elif model.over == "text":
        (text,) = (f for f in spec.shaped if isinstance(f, TokensFeature))
        tensor, there = _of_text(model, text, inputs[text.name])
        read = (text.name,)
    else:
        tensor = _of_table(model, inputs, spec)
    for number in range(model.blocks):
        tensor = _block(model, tensor, f"block.{number}", there)
    tensor = keras.layers.LayerNormalization(name="normalize")(tensor)
    others = flat_inputs(model, inputs, spec, without=read)
    return hidden_layers(model, side_by_side([_pooled(model, tensor, there), *others]))


def _pooled(
    model: s.Transformer, tensor: keras.KerasTensor, there: keras.KerasTensor | None
) -> keras.KerasTensor:
    if there is None:
        if model.pool == "last":
            return tensor[:, -1, :]
        return keras.layers.GlobalAveragePooling1D(name="mean.steps")(tensor)
    count = keras.ops.sum(there, axis=1, keepdims=True)
    if model.pool == "last":
        steps = keras.ops.arange(there.shape[1], dtype="float32")
        there = keras.ops.cast(keras.ops.equal(steps, count - 1), tensor.dtype)
        count = keras.ops.ones_like(count)
    total = keras.ops.sum(tensor * keras.ops.expand_dims(there, -1), axis=1)
    return total / keras.ops.maximum(count, 1.0)


def _of_series(model: s.Transformer, series: keras.KerasTensor) -> keras.KerasTensor:
    """float32 (batch, steps, width)."""
    # A projection whose bias is one vector a step: that bias is the learnt positional encoding.
    return keras.layers.EinsumDense(
        "bts,sw->btw",
        output_shape=(series.shape[1], model.width),
        bias_axes="tw",
        kernel_initializer=model.initializer,
        bias_initializer=keras.initializers.RandomNormal(stddev=_POSITION_DEVIATION),
        kernel_regularizer=regularizer(model),
        name="project.positions",
    )(series)


def _of_text(
    model: s.Transformer, text: TokensFeature, ids: keras.KerasTensor
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """float32 (batch, length, width), and 1 where there is a word, float32 (batch, length)."""
    words = keras.layers.Embedding(text.cardinality, model.width, name=f"embed.{text.name}")(ids)
    positions = keras.layers.Embedding(
        text.length,
        model.width,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=_POSITION_DEVIATION),
        name="embed.positions",
    )(keras.ops.arange(text.length, dtype="int32") + 0 * ids)
    return words + positions, keras.ops.cast(keras.ops.not_equal(ids, 0), "float32")


def _of_table(model: s.Transformer, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """A vector a feature, float32 (batch, features, width): number times vector plus vector."""
    parts = []
    if "numeric" in inputs:
        count = inputs["numeric"].shape[1]
        parts.append(
            keras.layers.EinsumDense(
                "bf,fw->bfw",
                output_shape=(count, model.width),
                bias_axes="fw",
                kernel_initializer=model.initializer,
                kernel_regularizer=regularizer(model),
                name="embed.numbers",
            )(inputs["numeric"])
        )
    for position, feature in enumerate(spec.categorical):
        embed = keras.layers.Embedding(
            feature.cardinality, model.width, name=f"embed.{feature.name}"
        )
        parts.append(embed(inputs["categorical"][:, position : position + 1]))
    return (
        keras.layers.Concatenate(axis=1, name="features.vectors")(parts) if parts[1:] else parts[0]
    )


def _block(
    model: s.Transformer,
    tensor: keras.KerasTensor,
    name: str,
    there: keras.KerasTensor | None,
) -> keras.KerasTensor:
    """Self-attention, then two dense layers, each added to the stream (batch, steps, width)."""
    dense = {"kernel_initializer": model.initializer}
    part = keras.layers.LayerNormalization(name=f"{name}.attention.normalize")(tensor)
    mask = None if there is None else keras.ops.expand_dims(there, 1)
    part = keras.layers.MultiHeadAttention(
        model.heads,
        model.width // model.heads,
        dropout=model.dropout,
        kernel_regularizer=regularizer(model),
        name=f"{name}.attention",
        **dense,
    )(part, part, attention_mask=mask)
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
