"""Find the embedding tables of a model, and choose how each is trained (`table_policy`).

Tables that a regularizer or a constraint makes dense are left to Keras.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from headrace.models.gathered import gather_from_tables, list_tables_to_gather
from headrace.recipe import sections as s
from headrace.train.sharded_tables import ShardedTable, find_sharded_table
from headrace.train.table_policy import is_by_row, is_sparse


@dataclass(frozen=True)
class TableTraining:
    """How an embedding table is trained.

    Attributes:
        layer: the Keras layer that has it.
        ids_per_row: ids that it looks up for a row of a batch; 0 where that is not known.
        is_sparse: whether its gradient is a list of rows.
        is_by_row: whether it is updated by row, and not by Keras's optimizer.
        shard: this rank's rows, where the table is split over ranks; None where it is whole.
    """

    layer: keras.layers.Embedding
    ids_per_row: int
    is_sparse: bool
    is_by_row: bool
    shard: ShardedTable | None = None

    @property
    def variable(self) -> keras.Variable:
        """Return the table, or this rank's rows of it, float32 (rows, width)."""
        return self.layer._embeddings


def choose_table_training(model: keras.Model, settings: s.Train) -> list[TableTraining]:
    """Choose how the tables of a model are trained, and have the sparse ones read by gathers.

    Args:
        model: of `models.build`; in a `python` model, nested models count too.
        settings: optimizer and global batch.
    """
    chosen = []
    for layer in list_tables_to_gather(model):
        ids = _count_ids_per_row(layer)
        if shard := find_sharded_table(layer):
            chosen.append(TableTraining(layer, ids, True, True, shard))
            continue
        sparse = is_sparse(layer.input_dim, ids, settings)
        by_row = is_by_row(settings.optimizer, sparse=sparse)
        if sparse or by_row:
            chosen.append(TableTraining(layer, ids, sparse, by_row))
    gather_from_tables(table.layer for table in chosen if table.is_sparse and not table.shard)
    return chosen


def list_row_variables(tables: Sequence[TableTraining]) -> list[keras.Variable]:
    """List the variables that are updated by row."""
    return [table.variable for table in tables if table.is_by_row]


def _count_ids_per_row(layer: keras.layers.Embedding) -> int:
    """Count the ids that a layer looks up for a row of a batch.

    0 where that is not known: a layer within one of the user's own is in no graph, and a sequence
    may be of any length. Such a table has a dense gradient.
    """
    shapes = [t.shape[1:] for node in layer._inbound_nodes for t in node.input_tensors]
    if any(None in shape for shape in shapes):
        return 0
    return sum(map(math.prod, shapes))
