"""What every family does with inputs that its own layers do not read: one flat vector each."""

import math

import keras

from headrace.recipe import sections as s
from headrace.transform.spec import ImageFeature, SeriesFeature, TokensFeature, TransformSpec

Tensors = dict[str, keras.KerasTensor]

# Layers within the model have a dot in their names, which no feature's name can have.


def make_inputs(spec: TransformSpec) -> Tensors:
    """One Keras input for every one of `spec.inputs`, named like it."""
    return {
        name: keras.Input(item.shape, dtype=item.dtype, name=name)
        for name, item in spec.inputs.items()
    }


def flat_inputs(
    model: s.Model, inputs: Tensors, spec: TransformSpec, *, without: tuple[str, ...] = ()
) -> list[keras.KerasTensor]:
    """Every input but `without` as float32 (batch, columns).

    Numbers and series as they are, one embedding a categorical, the mean of the embeddings of
    tokens (ids 0 left out; zeros where there is nothing else), images scaled to 0 to 1 and
    flattened.
    """
    parts = []
    if "numeric" in inputs and "numeric" not in without:
        parts.append(inputs["numeric"])
    for position, feature in enumerate(spec.categorical):
        if "categorical" in without:
            break
        embed = _embedding(feature.name, feature.cardinality, model)
        parts.append(embed(inputs["categorical"][:, position]))
    for shaped in spec.shaped:
        if shaped.name in without:
            continue
        tensor = inputs[shaped.name]
        if isinstance(shaped, TokensFeature):
            embedded = _embedding(shaped.name, shaped.cardinality, model)(tensor)
            parts.append(_mean_of_tokens(embedded, tensor))
        elif isinstance(shaped, ImageFeature):
            parts.append(
                keras.layers.Flatten(name=f"flat.{shaped.name}")(scaled_image(shaped, tensor))
            )
        else:
            parts.append(tensor)
    return parts


def scaled_image(feature: ImageFeature, tensor: keras.KerasTensor) -> keras.KerasTensor:
    """uint8 0 to 255 as float32 0 to 1, shape kept."""
    return keras.layers.Rescaling(1 / 255, name=f"scaled.{feature.name}")(tensor)


def side_by_side(parts: list[keras.KerasTensor]) -> keras.KerasTensor:
    """The parts joined along their last axis."""
    if len(parts) == 1:
        return parts[0]
    return keras.layers.Concatenate(name="features.all")(parts)


def embedding_width(cardinality: int, largest: int) -> int:
    """Columns of an embedding: the square root of its ids, at most `largest`."""
    return min(largest, math.ceil(math.sqrt(cardinality)))


def regularizer(model: s.Model) -> keras.regularizers.Regularizer | None:
    """Of kernels, never of biases; `None` where the recipe wants none."""
    if not (model.l1 or model.l2):
        return None
    return keras.regularizers.L1L2(l1=model.l1, l2=model.l2)


def _embedding(name: str, cardinality: int, model: s.Model) -> keras.layers.Embedding:
    width = embedding_width(cardinality, model.embedding_width)
    return keras.layers.Embedding(cardinality, width, name=f"embed.{name}")


def _mean_of_tokens(embedded: keras.KerasTensor, ids: keras.KerasTensor) -> keras.KerasTensor:
    """float32 (batch, width) of (batch, length, width).

    GlobalAveragePooling1D with a mask divides by 0 where all ids are padding.
    """
    there = keras.ops.expand_dims(keras.ops.cast(keras.ops.not_equal(ids, 0), "float32"), -1)
    count = keras.ops.maximum(keras.ops.sum(there, axis=1), 1.0)
    return keras.ops.sum(embedded * there, axis=1) / count


def series_names(spec: TransformSpec) -> tuple[str, ...]:
    """Names of the series, in the order they are stacked."""
    return tuple(f.name for f in spec.shaped if isinstance(f, SeriesFeature))


def stacked_series(inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """float32 (batch, length, series); all of one length."""
    return keras.ops.stack([inputs[name] for name in series_names(spec)], axis=-1)
