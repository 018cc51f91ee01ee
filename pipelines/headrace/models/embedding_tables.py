"""Look categoricals up in the tables that they share, each table in one gather.

A table of one feature alone is built as an older Headrace built it, operation by operation: what it
saved of a training goes by the order of the weights.
"""

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
    return _make_layer(table)(_select_rows(table, categorical))


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
    embedded = _make_layer(table, **options)(_select_rows(table, categorical))
    size = len(table.features) * table.width
    return keras.layers.Reshape((size,), name=f"{table.name}.flat")(embedded)


def _select_rows(table: EmbeddingTable, categorical: keras.KerasTensor) -> keras.KerasTensor:
    """Return the rows of the table that the features' ids stand for, int32 (batch, features)."""
    rows = categorical
    if table.positions != tuple(range(categorical.shape[1])):
        rows = keras.ops.take(rows, np.array(table.positions, np.int32), axis=1)
    if any(table.offsets):
        rows = keras.ops.add(rows, np.array(table.offsets, np.int32))
    return rows


def _make_layer(table: EmbeddingTable, **options: object) -> keras.layers.Embedding:
    return keras.layers.Embedding(table.rows, table.width, name=table.name, **options)
