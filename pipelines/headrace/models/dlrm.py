"""Build a deep learning recommendation model (Naumov et al. 2019, arXiv:1906.00091).

Dense layers turn the numbers into one vector, every categorical and list of ids has an embedding of
the same width, and what the last dense layers get is the dot product of each pair of these vectors,
beside the vector of the numbers; with `top: all` the numbers and the vectors, too.
"""

import itertools

import keras
import numpy as np

from headrace.models.embedding_tables import embed_ids
from headrace.models.inputs import Tensors, embed_tokens, flatten_inputs, join_features
from headrace.models.mlp import add_hidden_layers
from headrace.models.table_plans import list_tables
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec


def build_dlrm(model: s.Dlrm, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """Return the last hidden layer, float32 (batch, hidden[-1]).

    Args:
        model: the recipe's section.
        inputs: Keras inputs by name, of `make_inputs`.
        spec: fitted transform, which names them. What is neither an id nor a list of ids counts as
            numbers.
    """
    width = model.embedding_width
    tokens = spec.select_features("tokens")
    without = ("categorical", *(feature.name for feature in tokens))
    numbers = flatten_inputs(model, inputs, spec, without=without)
    vectors = [embed_ids(table, inputs["categorical"]) for table in list_tables(model, spec)]
    vectors += [
        keras.ops.expand_dims(embed_tokens(feature, inputs[feature.name], width), 1)
        for feature in tokens
    ]
    parts = []
    if numbers:
        sizes = [*model.bottom, width]
        bottom = add_hidden_layers(model, join_features(numbers), sizes, "bottom")
        vectors.insert(0, keras.ops.expand_dims(bottom, 1))
        parts.append(bottom)
    stacked = vectors[0]
    if len(vectors) > 1:
        stacked = keras.layers.Concatenate(axis=1, name="vectors.all")(vectors)
    if stacked.shape[1] > 1:
        parts.append(_multiply_pairs(stacked))
    elif not numbers:  # one vector, which has nobody to be multiplied with
        parts.append(keras.layers.Flatten(name="vector.flat")(stacked))
    if model.top == "all" and stacked.shape[1] > 1:
        parts += [*numbers, keras.layers.Flatten(name="vectors.flat")(stacked)]
    top = keras.layers.Concatenate(name="products.all")(parts) if parts[1:] else parts[0]
    return add_hidden_layers(model, top)


def _multiply_pairs(vectors: keras.KerasTensor) -> keras.KerasTensor:
    """Return the dot product of each pair of vectors, float32 (batch, n (n - 1) / 2).

    Args:
        vectors: float32 (batch, n, width).
    """
    count = vectors.shape[1]
    products = keras.layers.Dot(axes=2, name="products.pairs")([vectors, vectors])
    flat = keras.layers.Reshape((count * count,), name="products.pairs.flat")(products)
    pairs = [i * count + j for i, j in itertools.combinations(range(count), 2)]
    return keras.ops.take(flat, np.array(pairs, np.int32), axis=1)
