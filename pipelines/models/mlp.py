"""Multi-layer perceptron over tables: embeddings beside numbers, then dense layers."""

import math

import keras

from pipelines.recipe.sections import Mlp
from pipelines.transform.spec import TransformSpec


def mlp(model: Mlp, inputs: dict[str, keras.KerasTensor], spec: TransformSpec) -> keras.KerasTensor:
    """The last hidden layer, float32 (batch, hidden[-1])."""
    parts = []
    if "numeric" in inputs:
        parts.append(inputs["numeric"])
    for position, feature in enumerate(spec.categorical):
        width = embedding_width(feature.cardinality, model.embedding_width)
        embed = keras.layers.Embedding(feature.cardinality, width, name=f"embed_{feature.name}")
        parts.append(embed(inputs["categorical"][:, position]))
    hidden = keras.layers.Concatenate(name="features")(parts) if len(parts) > 1 else parts[0]
    for number, units in enumerate(model.hidden):
        hidden = keras.layers.Dense(
            units,
            activation=model.activation,
            kernel_initializer=model.initializer,
            kernel_regularizer=keras.regularizers.L1L2(l1=model.l1, l2=model.l2),
            name=f"hidden_{number}",
        )(hidden)
        if model.dropout:
            hidden = keras.layers.Dropout(model.dropout, name=f"dropout_{number}")(hidden)
    return hidden


def embedding_width(cardinality: int, largest: int) -> int:
    """Columns of an embedding: the square root of its ids, at most `largest`."""
    return min(largest, math.ceil(math.sqrt(cardinality)))
