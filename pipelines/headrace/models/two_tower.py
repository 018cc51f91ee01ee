"""Build a two-tower model (Yi et al. 2019, DOI 10.1145/3298689.3346996): a vector per query, one
per item, and their product as the score of a pair.

Each tower is dense layers over its features; categoricals of both are looked up in the tables that
they share, in one gather. What the model gives for a row is the score of the row's own pair. The
vectors themselves are layers of the model, from which `build_vectors_model` makes what a training
by batches of pairs, or a search over all items, needs.
"""

from collections.abc import Collection

import keras
import numpy as np

from headrace.features.kinds import get_form
from headrace.models.embedding_tables import embed_ids
from headrace.models.feature_columns import locate_features
from headrace.models.inputs import Tensors, embed_tokens, join_features, scale_image
from headrace.models.mlp import add_hidden_layers
from headrace.models.table_plans import EmbeddingTable, choose_embedding_width, list_tables
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec

QUERY_VECTOR, ITEM_VECTOR = "query.vector", "item.vector"
_DTYPE = "float32"  # of vectors and scores, whatever the precision of the layers before them


def build_two_tower(model: s.TwoTower, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """Return the score of each row's query and item, float32 (batch, 1).

    Args:
        model: the recipe's section; it names every feature of `spec` once.
        inputs: Keras inputs by name, of `make_inputs`.
        spec: fitted transform, which names them.
    """
    tables = [
        (table, embed_ids(table, inputs["categorical"])) for table in list_tables(model, spec)
    ]
    towers = (("query", model.query, QUERY_VECTOR), ("item", model.item, ITEM_VECTOR))
    vectors = []
    for name, tower, layer in towers:
        features = join_tower_features(model, name, tower.features, inputs, tables, spec)
        hidden = add_hidden_layers(model, features, tower.hidden, name)
        vector = keras.layers.Dense(
            model.vector_width, kernel_initializer=model.initializer, dtype=_DTYPE,
            name=f"{name}.dense",
        )(hidden)  # fmt: skip
        if model.similarity == "cosine":
            vector = keras.layers.UnitNormalization(dtype=_DTYPE, name=f"{name}.unit")(vector)
        vectors.append(keras.layers.Activation("linear", dtype=_DTYPE, name=layer)(vector))
    product = keras.layers.Dot(axes=1, dtype=_DTYPE, name="pair.product")(vectors)
    return keras.layers.Rescaling(1 / model.temperature, dtype=_DTYPE, name="pair.score")(product)


def build_vectors_model(model: keras.Model) -> keras.Model:
    """Return a model with the same weights that gives the vectors of each row's query and item.

    Each vector depends on the features of its own tower alone; the others' may be anything.
    """
    vectors = [model.get_layer(name).output for name in (QUERY_VECTOR, ITEM_VECTOR)]
    return keras.Model(model.input, vectors)


def join_tower_features(
    model: s.TwoTower,
    name: str,
    features: Collection[str],
    inputs: Tensors,
    tables: list[tuple[EmbeddingTable, keras.KerasTensor]],
    spec: TransformSpec,
) -> keras.KerasTensor:
    """Return the features of a tower as one flat vector, float32 (batch, columns).

    Args:
        model: the recipe's section; the width of embeddings is read.
        name: of the tower, for the names of layers.
        features: of the tower.
        inputs: Keras inputs by name.
        tables: with the embeddings of all their features, (batch, features, width).
        spec: fitted transform.
    """
    parts = []
    locations = locate_features(spec)
    numbers = [
        column
        for feature in spec.features
        for owner, columns in [locations[feature.name]]
        if owner == "numeric" and feature.name in features
        for column in columns or ()
    ]
    if numbers:
        parts.append(_take_columns(inputs["numeric"], numbers))
    for table, embedded in tables:
        own = [i for i, feature in enumerate(table.features) if feature in features]
        if own:
            taken = _take_columns(embedded, own)
            flat = keras.layers.Reshape((len(own) * table.width,), name=f"{name}.{table.name}")
            parts.append(flat(taken))
    for shaped in spec.shaped:
        if shaped.name not in features:
            continue
        tensor = inputs[shaped.name]
        if get_form(shaped) == "tokens":
            width = choose_embedding_width(shaped.cardinality, model.embedding_width)
            parts.append(embed_tokens(shaped, tensor, width))
        elif get_form(shaped) == "image":
            flat = keras.layers.Flatten(name=f"flat.{shaped.name}")
            parts.append(flat(scale_image(shaped, tensor)))
        else:
            parts.append(tensor)
    return join_features(parts) if len(parts) == 1 else keras.layers.Concatenate(
        name=f"{name}.features"
    )(parts)  # fmt: skip


def _take_columns(tensor: keras.KerasTensor, columns: list[int]) -> keras.KerasTensor:
    if columns == list(range(tensor.shape[1])):
        return tensor
    return keras.ops.take(tensor, np.array(columns, np.int32), axis=1)
