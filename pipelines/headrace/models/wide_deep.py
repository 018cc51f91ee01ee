"""Build wide and deep: a linear model of numbers and ids beside dense layers (arXiv:1606.07792).

The linear part goes straight to the head: it has one weight per number, and one per categorical for
the weight that each id has of its own.
"""

import keras

from headrace.models.embedding_tables import embed_flat
from headrace.models.inputs import Tensors, flatten_inputs, join_features, make_regularizer
from headrace.models.mlp import add_hidden_layers
from headrace.models.table_plans import list_wide_tables
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec


def build_wide_deep(model: s.WideDeep, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """Return the dense layers beside the linear model's inputs.

    Args:
        model: the recipe's section.
        inputs: Keras inputs by name, of `make_inputs`.
        spec: fitted transform, which names them.

    Returns:
        float32 (batch, hidden[-1] + numbers + categoricals).
    """
    deep = add_hidden_layers(model, join_features(flatten_inputs(model, inputs, spec)))
    parts = [deep]
    if "numeric" in inputs:
        parts.append(inputs["numeric"])
    for table in list_wide_tables(model, spec):
        weights = embed_flat(
            table,
            inputs["categorical"],
            embeddings_initializer="zeros",
            embeddings_regularizer=make_regularizer(model),
        )
        parts.append(weights)
    return keras.layers.Concatenate(name="wide.deep")(parts) if len(parts) > 1 else deep
