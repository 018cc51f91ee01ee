"""Choose how each embedding table of a model is trained: what travels, and what is updated.

Two questions, answered for every table that no regularizer or constraint makes dense. Is its
gradient a list of rows? Where the table is larger than what the ranks would send of a batch. Is it
updated by row? Where the optimizer has a rule that is exact, or was asked to be lazy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from headrace.models.gathered import gather_from_tables, list_tables_to_gather
from headrace.recipe import sections as s
from headrace.train.row_rules import has_rule, is_exact

# A table with fewer rows for each id of a global batch has a dense gradient: the sum of all its
# rows then costs less than to gather, to sort and to sum those of the batch.
_ROWS_PER_ID = 2


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
    optimizer = settings.optimizer
    chosen = []
    for layer in list_tables_to_gather(model):
        ids = settings.global_batch_size * _count_ids_per_row(layer)
        is_sparse = layer.input_dim > _ROWS_PER_ID * ids
        # What is lazy, or one sum per row, is what the recipe says, whatever the table's size.
        differs = has_rule(optimizer) and (
            not is_exact(optimizer) or optimizer.kind == "rowwise_adagrad"
        )
        is_by_row = differs or (is_sparse and has_rule(optimizer))
        if is_sparse or is_by_row:
            chosen.append(TableTraining(layer, is_sparse, is_by_row))
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
