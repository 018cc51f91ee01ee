"""Build a rank's model in the layout of embedding tables that its training has."""

import keras

from headrace.distributed.rank.collectives import Collectives
from headrace.models.table_plans import list_model_tables
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.tracking.store import Store
from headrace.train.model import build_initial_model
from headrace.train.row_optimizer import AnyOptimizer
from headrace.train.sharded_tables import list_sharded_tables
from headrace.train.table_policy import describe_cost, predict_cost
from headrace.train.table_shards import TableShards
from headrace.train.tables import TableTraining
from headrace.train.warm_start import InitialModel
from headrace.transform.spec import TransformSpec


class RankModel:
    """The model and the optimizer of a rank.

    Attributes:
        model, optimizer: with initial weights at first.
        recipe: with the layout of tables that they have.
        tables: those that are not trained as other weights are.
        shares_tables: whether categoricals share tables.
        shards: the tables of which each rank has other rows; None where there are none.
    """

    def __init__(self, recipe: Recipe, spec: TransformSpec, collectives: Collectives) -> None:
        """
        Args:
            recipe: model and train count.
            spec: the dataset's transform.
            collectives: the ranks; all of them build the same.
        """
        self._recipe, self._spec, self._collectives = recipe, spec, collectives
        self.shares_tables = recipe.model.embeddings.shared
        self._build()

    def _build(self) -> None:
        section = self._recipe.model
        embeddings = section.embeddings.model_copy(update={"shared": self.shares_tables})
        section = section.model_copy(update={"embeddings": embeddings})
        self.model: keras.Model
        self.optimizer: AnyOptimizer
        self.tables: list[TableTraining]
        self.recipe = self._recipe.model_copy(update={"model": section})
        self.model, self.optimizer, self.tables = build_initial_model(
            self.recipe, self._spec, self._collectives
        )
        self._generation = self._collectives.generation
        sharded = list_sharded_tables(self.model)
        self.shards = TableShards(sharded, self.optimizer, self._collectives) if sharded else None

    def _rebuild(self) -> None:
        del self.model, self.optimizer, self.tables, self.shards  # before others are beside them
        self._build()

    def adopt_layout(self, shares_tables: bool) -> None:
        """Build the model anew where the training was begun with another layout of its tables."""
        if shares_tables == self.shares_tables:
            return
        self.shares_tables = shares_tables
        if list_model_tables(self._recipe.model, self._spec):
            self._rebuild()

    def follow_ranks(self) -> None:
        """Build the model anew where its tables were sharded over other ranks than those of now."""
        if self.shards and self._generation != self._collectives.generation:
            self._rebuild()

    def take_initial_weights(self, source: str, store: Store, report: Report) -> None:
        """Set the weights to those of another model, in the layout that it has.

        Rank 0 does, and all others their rows of sharded tables; whole weights have still to be
        broadcast.

        Args:
            source: see `InitialModel`.
            store: where registered models are.
            report: called with how many rows were taken over.

        Raises:
            TrainError, ModelError: see `InitialModel`.
        """
        initial, shares_tables = None, self.shares_tables
        is_first = self._collectives.rank == 0
        if is_first or self.shards:
            initial = InitialModel(source, store, self._recipe.model, self._spec)
            if initial.shares_tables is not None:
                shares_tables = initial.shares_tables
        shares_tables = self._collectives.broadcast_object(shares_tables)
        if shares_tables != self.shares_tables:
            words = "share tables" if shares_tables else "have a table each"
            text = (
                f"train.initial_model: its categoricals {words}, and so do those of this training"
            )
            report(Progress(text))
        self.adopt_layout(shares_tables)
        if initial:
            for feature in initial.copy_weights(self.model):
                if is_first:
                    report(Progress(f"train.initial_model: {feature.describe()}"))

    def report_tables(self, report: Report) -> None:
        """Report what the tables take that are not trained as other weights are."""
        settings = self._recipe.train.model_copy(update={"ranks": self._collectives.size})
        shard_above = self._recipe.model.embeddings.shard_above
        for table in self.tables:
            name, rows, width = table.layer.name, table.layer.input_dim, table.layer.output_dim
            cost = predict_cost(name, rows, width, table.ids_per_row, settings, shard_above)
            report(Progress(describe_cost(cost)))
