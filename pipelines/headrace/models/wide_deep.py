"""Wide and deep: a linear model of numbers and ids beside dense layers (arXiv:1606.07792).

The linear part goes straight to the head, whose weights of it are the linear model's: one a number,
and one for what each id's own weight is.
"""

import keras

from headrace.models.inputs import Tensors, flat_inputs, regularizer, side_by_side
from headrace.models.mlp import hidden_layers
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec


def wide_deep(model: s.WideDeep, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """float32 (batch, hidden[-1] + numbers + categoricals)."""
    deep = hidden_layers(model, side_by_side(flat_inputs(model, inputs, spec)))
    parts = [deep]
    if "numeric" in inputs:
        parts.append(inputs["numeric"])
    for position, feature in enumerate(spec.categorical):
        weight = keras.layers.Embedding(
            feature.cardinality,
            1,
            embeddings_initializer="zeros",
            embeddings_regularizer=regularizer(model),
            name=f"wide.{feature.name}",
        )
        parts.append(weight(inputs["categorical"][:, position]))
    return keras.layers.Concatenate(name="wide.deep")(parts) if len(parts) > 1 else deep
