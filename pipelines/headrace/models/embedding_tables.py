"""Look categoricals up in the tables that they share, each table in one gather."""

import keras
import numpy as np

from headrace.models.table_plans import EmbeddingTable


def embed_ids(
    table: EmbeddingTable, categorical: keras.KerasTensor, **options: object
) -> keras.KerasTensor:
    """Look up the ids of a table's features, float32 (batch, features, width).

    Args:
        table: planned from the features of `categorical`.
        categorical: the model's input, int32 (batch, columns).
        options: for the Keras layer, beside its sizes and name.
    """
    ids = categorical
    if table.positions != tuple(range(categorical.shape[1])):
        ids = keras.ops.take(ids, np.array(table.positions, np.int32), axis=1)
    if any(table.offsets):
        ids = keras.ops.add(ids, np.array(table.offsets, np.int32))
    return keras.layers.Embedding(table.rows, table.width, name=table.name, **options)(ids)
