"""Make the Keras inputs of a model, and flatten those that a family's own layers do not read."""

import keras

from headrace.features.kind import FittedFeature
from headrace.features.kinds import get_form
from headrace.models.embedding_tables import embed_flat
from headrace.models.table_plans import choose_embedding_width, list_tables
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec

Tensors = dict[str, keras.KerasTensor]

# Layers within the model have a dot in their names, which no feature's name can have.


def make_inputs(spec: TransformSpec) -> Tensors:
    """Return a Keras input for every one of `spec.inputs`, by name."""
    return {
        name: keras.Input(item.shape, dtype=item.dtype, name=name)
        for name, item in spec.inputs.items()
    }


def flatten_inputs(
    model: s.Model, inputs: Tensors, spec: TransformSpec, *, without: tuple[str, ...] = ()
) -> list[keras.KerasTensor]:
    """Return the inputs as flat vectors, each float32 (batch, columns).

    Numbers and series as they are, the embeddings of categoricals by table, the mean of the
    embeddings of tokens (ids 0, padding, left out; zeros where there is nothing else), images
    scaled to 0 to 1 and flattened.

    Args:
        model: the recipe's section; the width of embeddings is read.
        inputs: of `make_inputs`.
        spec: fitted transform, which names them.
        without: inputs to leave out.
    """
    parts = []
    if "numeric" in inputs and "numeric" not in without:
        parts.append(inputs["numeric"])
    if "categorical" not in without:
        for table in list_tables(model, spec):
            parts.append(embed_flat(table, inputs["categorical"]))
    for shaped in spec.shaped:
        if shaped.name in without:
            continue
        tensor = inputs[shaped.name]
        if get_form(shaped) == "tokens":
            width = choose_embedding_width(shaped.cardinality, model.embedding_width)
            parts.append(embed_tokens(shaped, tensor, width))
        elif get_form(shaped) == "image":
            parts.append(
                keras.layers.Flatten(name=f"flat.{shaped.name}")(scale_image(shaped, tensor))
            )
        else:
            parts.append(tensor)
    return parts


def scale_image(feature: FittedFeature, tensor: keras.KerasTensor) -> keras.KerasTensor:
    """Scale uint8 0 to 255 to float32 0 to 1, in the same shape."""
    return keras.layers.Rescaling(1 / 255, name=f"scaled.{feature.name}")(tensor)


def join_features(parts: list[keras.KerasTensor]) -> keras.KerasTensor:
    """Join tensors along their last axis."""
    if len(parts) == 1:
        return parts[0]
    return keras.layers.Concatenate(name="features.all")(parts)


def make_regularizer(model: s.Model) -> keras.regularizers.Regularizer | None:
    """Make the regularizer of kernels, never of biases; None where the recipe sets neither."""
    if not (model.l1 or model.l2):
        return None
    return keras.regularizers.L1L2(l1=model.l1, l2=model.l2)


def embed_tokens(feature: FittedFeature, ids: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """Return the mean of the embeddings of a list of ids, float32 (batch, width).

    Ids 0, padding, are left out; GlobalAveragePooling1D with a mask would divide by 0 where all are
    0.
    """
    name = f"embed.{feature.name}"
    embedded = keras.layers.Embedding(feature.cardinality, width, name=name)(ids)
    mask = keras.ops.expand_dims(keras.ops.cast(keras.ops.not_equal(ids, 0), "float32"), -1)
    count = keras.ops.maximum(keras.ops.sum(mask, axis=1), 1.0)
    return keras.ops.sum(embedded * mask, axis=1) / count


def list_series_names(spec: TransformSpec) -> tuple[str, ...]:
    """Return the names of the series, in the order in which they are stacked."""
    return tuple(f.name for f in spec.select_features("series"))


def stack_series(inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """Stack all series, which have one length, as float32 (batch, length, series)."""
    return keras.ops.stack([inputs[name] for name in list_series_names(spec)], axis=-1)
