"""Look categoricals up in the tables that they share, each table in one gather.

A table of one feature alone is built as an older Headrace built it, operation by operation: what it
saved of a training goes by the order of the weights.
"""

import math

import keras
import numpy as np

from headrace.models.table_plans import EmbeddingTable


def embed_ids(table: EmbeddingTable, categorical: keras.KerasTensor) -> keras.KerasTensor:
    """Look up the ids of a table's features, float32 (batch, features, width).

    Args:
        table: planned from the features of `categorical`.
        categorical: the model's input, int32 (batch, columns).
    """
    if not table.is_shared:
        (position,) = table.positions
        return _make_layer(table)(categorical[:, position : position + 1])
    return _look_up(table, categorical)


def embed_flat(
    table: EmbeddingTable, categorical: keras.KerasTensor, **options: object
) -> keras.KerasTensor:
    """Look up the ids of a table's features, float32 (batch, features × width).

    Args:
        table: planned from the features of `categorical`.
        categorical: the model's input, int32 (batch, columns).
        options: for the Keras layer, beside its sizes and name.
    """
    if not table.is_shared:
        (position,) = table.positions
        return _make_layer(table, **options)(categorical[:, position])
    embedded = _look_up(table, categorical, **options)
    size = len(table.features) * table.width
    return keras.layers.Reshape((size,), name=f"{table.name}.flat")(embedded)


def _look_up(
    table: EmbeddingTable, categorical: keras.KerasTensor, **options: object
) -> keras.KerasTensor:
    """Return the embeddings of a shared or composed table, float32 (batch, features, width)."""
    if not table.divisors:
        return _make_layer(table, **options)(_select_rows(table, categorical))
    # Products of two numbers of this range are about as large as Keras's own embeddings.
    range_ = keras.initializers.RandomUniform(-math.sqrt(0.05), math.sqrt(0.05))
    layer = _make_layer(table, embeddings_initializer=range_, **options)
    rows = layer(_select_rows(table, categorical))
    shape = (2, len(table.features), table.width)
    pairs = keras.layers.Reshape(shape, name=f"{table.name}.pairs")(rows)
    return keras.ops.prod(pairs, axis=1)


def _select_rows(table: EmbeddingTable, categorical: keras.KerasTensor) -> keras.KerasTensor:
    """Return the rows of the table that the features' ids stand for, int32 (batch, features).

    Of a composed table those of all quotients, then those of all remainders.
    """
    rows, offsets = categorical, np.array(table.offsets, np.int32)
    if table.positions != tuple(range(categorical.shape[1])):
        rows = keras.ops.take(rows, np.array(table.positions, np.int32), axis=1)
    if table.divisors:
        divisors = np.array(table.divisors, np.int32)
        quotients = np.array(table.block_rows, np.int32) - divisors
        parts = [keras.ops.floor_divide(rows, divisors), keras.ops.mod(rows, divisors)]
        starts = [offsets, offsets + quotients]
        parts = [keras.ops.add(part, start) for part, start in zip(parts, starts, strict=True)]
        return keras.ops.concatenate(parts, axis=1)
    return keras.ops.add(rows, offsets) if offsets.any() else rows


def _make_layer(table: EmbeddingTable, **options: object) -> keras.layers.Embedding:
    return keras.layers.Embedding(table.rows, table.width, name=table.name, **options)
