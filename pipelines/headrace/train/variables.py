"""List the variables of a training: whole on every rank, or with other rows on each."""

from dataclasses import dataclass

import keras

from headrace.train.row_optimizer import AnyOptimizer, RowOptimizer
from headrace.train.sharded_tables import ShardedTable, list_sharded_tables


@dataclass(frozen=True)
class WholeVariables:
    """The variables that are the same on every rank.

    Attributes:
        weights: of the model.
        moments: of the optimizer, with its counters.
    """

    weights: list[keras.Variable]
    moments: list[keras.Variable]

    @property
    def all(self) -> list[keras.Variable]:
        """Return weights, then moments."""
        return [*self.weights, *self.moments]


def list_whole_variables(model: keras.Model, optimizer: AnyOptimizer | None) -> WholeVariables:
    """List the variables of which every rank has all rows, in the order of model and optimizer."""
    shards = [v for t in list_sharded_tables(model) for v in list_shard_variables(t, optimizer)]
    own = {id(variable) for variable in shards}
    moments = optimizer.variables if optimizer else []
    return WholeVariables(
        [variable for variable in model.weights if id(variable) not in own],
        [variable for variable in moments if id(variable) not in own],
    )


def list_shard_variables(
    table: ShardedTable, optimizer: AnyOptimizer | None
) -> list[keras.Variable]:
    """List the variables with this rank's rows of a table: the table, then its moments."""
    slots = optimizer.list_slots(table.variable) if isinstance(optimizer, RowOptimizer) else []
    return [table.variable, *slots]
