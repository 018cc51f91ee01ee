"""Build a transformer encoder over series, text or a table; other inputs join before dense layers.

It is that of Vaswani et al. 2017, with the normalization in front of every part (Xiong et al.
2020), which trains without a warm-up of the learning rate.
"""

import keras

from headrace.features.kind import FittedFeature
from headrace.models.embedding_tables import embed_ids
from headrace.models.inputs import (
    Tensors,
    flatten_inputs,
    join_features,
    list_series_names,
    make_regularizer,
    stack_series,
)
from headrace.models.mlp import add_hidden_layers
from headrace.models.table_plans import list_tables
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec

# Width of the two dense layers of a block over that of the residual stream, as in Vaswani et al.
_EXPANSION = 4
# Standard deviation of the initial positional encoding, as in BERT (Devlin et al. 2019).
_POSITION_DEVIATION = 0.02


def build_transformer(
    model: s.Transformer, inputs: Tensors, spec: TransformSpec
) -> keras.KerasTensor:
    """Return the last layer before the head, float32 (batch, units).

    Args:
        model: the recipe's section; `over` says which inputs the encoder reads.
        inputs: Keras inputs by name, of `make_inputs`.
        spec: fitted transform, which names them.
    """
    mask: keras.KerasTensor | None = None
    encoded: tuple[str, ...] = ("numeric", "categorical")
    if model.over == "series":
        tensor, encoded = _embed_series(model, stack_series(inputs, spec)), list_series_names(spec)
    elif model.over == "text":
        (text,) = spec.select_features("tokens")
        tensor, mask = _embed_text(model, text, inputs[text.name])
        encoded = (text.name,)
    else:
        tensor = _embed_table(model, inputs, spec)
    for number in range(model.blocks):
        tensor = _add_block(model, tensor, f"block.{number}", mask)
    tensor = keras.layers.LayerNormalization(name="normalize")(tensor)
    others = flatten_inputs(model, inputs, spec, without=encoded)
    return add_hidden_layers(model, join_features([_pool_steps(model, tensor, mask), *others]))


def _pool_steps(
    model: s.Transformer, tensor: keras.KerasTensor, mask: keras.KerasTensor | None
) -> keras.KerasTensor:
    """Return the mean over steps, or the last step, float32 (batch, width); padding is left out.

    Args:
        model: `pool` says which.
        tensor: float32 (batch, steps, width).
        mask: 1 for steps that are no padding, float32 (batch, steps); None where there is none.
    """
    if mask is None:
        if model.pool == "last":
            return tensor[:, -1, :]
        return keras.layers.GlobalAveragePooling1D(name="mean.steps")(tensor)
    count = keras.ops.sum(mask, axis=1, keepdims=True)
    if model.pool == "last":
        steps = keras.ops.arange(mask.shape[1], dtype="float32")
        mask = keras.ops.cast(keras.ops.equal(steps, count - 1), tensor.dtype)
        count = keras.ops.ones_like(count)
    total = keras.ops.sum(tensor * keras.ops.expand_dims(mask, -1), axis=1)
    return total / keras.ops.maximum(count, 1.0)


def _embed_series(model: s.Transformer, series: keras.KerasTensor) -> keras.KerasTensor:
    """Project series to float32 (batch, steps, width) and add the positional encoding."""
    # The bias of this projection is one vector per step: it is the learned positional encoding.
    return keras.layers.EinsumDense(
        "bts,sw->btw",
        output_shape=(series.shape[1], model.width),
        bias_axes="tw",
        kernel_initializer=model.initializer,
        bias_initializer=keras.initializers.RandomNormal(stddev=_POSITION_DEVIATION),
        kernel_regularizer=make_regularizer(model),
        name="project.positions",
    )(series)


def _embed_text(
    model: s.Transformer, text: FittedFeature, ids: keras.KerasTensor
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return embeddings with positions, float32 (batch, length, width), and the mask.

    The mask is 1 where there is a word and 0 where there is padding, float32 (batch, length).
    """
    words = keras.layers.Embedding(text.cardinality, model.width, name=f"embed.{text.name}")(ids)
    positions = keras.layers.Embedding(
        text.shape[0],
        model.width,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=_POSITION_DEVIATION),
        name="embed.positions",
    )(keras.ops.arange(text.shape[0], dtype="int32") + 0 * ids)
    return words + positions, keras.ops.cast(keras.ops.not_equal(ids, 0), "float32")


def _embed_table(model: s.Transformer, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """Return a vector per feature, float32 (batch, features, width).

    That of a number is the number times one vector plus another, that of an id its embedding.
    """
    parts = []
    if "numeric" in inputs:
        count = inputs["numeric"].shape[1]
        parts.append(
            keras.layers.EinsumDense(
                "bf,fw->bfw",
                output_shape=(count, model.width),
                bias_axes="fw",
                kernel_initializer=model.initializer,
                kernel_regularizer=make_regularizer(model),
                name="embed.numbers",
            )(inputs["numeric"])
        )
    for table in list_tables(model, spec):
        parts.append(embed_ids(table, inputs["categorical"]))
    return (
        keras.layers.Concatenate(axis=1, name="features.vectors")(parts) if parts[1:] else parts[0]
    )


def _add_block(
    model: s.Transformer,
    tensor: keras.KerasTensor,
    name: str,
    mask: keras.KerasTensor | None,
) -> keras.KerasTensor:
    """Add self-attention and then two dense layers to the residual stream (batch, steps, width)."""
    dense = {"kernel_initializer": model.initializer}
    part = keras.layers.LayerNormalization(name=f"{name}.attention.normalize")(tensor)
    attention_mask = None if mask is None else keras.ops.expand_dims(mask, 1)
    part = keras.layers.MultiHeadAttention(
        model.heads,
        model.width // model.heads,
        dropout=model.dropout,
        kernel_regularizer=make_regularizer(model),
        name=f"{name}.attention",
        **dense,
    )(part, part, attention_mask=attention_mask)
    tensor = _add_residual(model, tensor, part, f"{name}.attention")
    part = keras.layers.LayerNormalization(name=f"{name}.dense.normalize")(tensor)
    part = keras.layers.Dense(
        _EXPANSION * model.width,
        activation=model.activation,
        kernel_regularizer=make_regularizer(model),
        name=f"{name}.dense.wide",
        **dense,
    )(part)
    part = keras.layers.Dense(
        model.width,
        kernel_regularizer=make_regularizer(model),
        name=f"{name}.dense.narrow",
        **dense,
    )(part)
    return _add_residual(model, tensor, part, f"{name}.dense")


def _add_residual(
    model: s.Transformer, stream: keras.KerasTensor, part: keras.KerasTensor, name: str
) -> keras.KerasTensor:
    if model.dropout:
        part = keras.layers.Dropout(model.dropout, name=f"{name}.dropout")(part)
    return keras.layers.Add(name=f"{name}.added")([stream, part])
