"""Find the embedding tables of a model, and choose how each is trained (`table_policy`).

Tables that a regularizer or a constraint makes dense are left to Keras.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from headrace.models.gathered import gather_from_tables, list_tables_to_gather
from headrace.recipe import sections as s
from headrace.train.table_policy import is_by_row, is_sparse


@dataclass(frozen=True)
class TableTraining:
    """How an embedding table is trained.

    Attributes:
        layer: the Keras layer that has it.
        is_sparse: whether its gradient is a list of rows.
        is_by_row: whether it is updated by row, and not by Keras's optimizer.
    """

    layer: keras.layers.Embedding
    is_sparse: bool
    is_by_row: bool

    @property
    def variable(self) -> keras.Variable:
        """Return the table, float32 (rows, width)."""
        return self.layer._embeddings


def choose_table_training(model: keras.Model, settings: s.Train) -> list[TableTraining]:
    """Choose how the tables of a model are trained, and have the sparse ones read by gathers.

    Args:
        model: of `models.build`; in a `python` model, nested models count too.
        settings: optimizer and global batch.
    """
    chosen = []
    for layer in list_tables_to_gather(model):
        sparse = is_sparse(layer.input_dim, _count_ids_per_row(layer), settings.global_batch_size)
        by_row = is_by_row(settings.optimizer, sparse=sparse)
        if sparse or by_row:
            chosen.append(TableTraining(layer, sparse, by_row))
    gather_from_tables(table.layer for table in chosen if table.is_sparse)
    return chosen


def list_row_variables(tables: Sequence[TableTraining]) -> list[keras.Variable]:
    """List the variables that are updated by row."""
    return [table.variable for table in tables if table.is_by_row]


def _count_ids_per_row(layer: keras.layers.Embedding) -> int:
    """Count the ids that a layer looks up for a row; 1 where the shapes do not say."""
    counts = [
        math.prod(size or 1 for size in tensor.shape[1:])
        for node in layer._inbound_nodes
        for tensor in node.input_tensors
    ]
    return max(1, sum(counts))
